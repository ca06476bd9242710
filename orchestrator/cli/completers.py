"""Shell completion of names, ids and option values. Returns quickly or gives up, and never holds the store while a
location loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from orchestrator.model.location import PipelineInfo
    from orchestrator.service.session import Session
    from orchestrator.service.workspace import Workspace

T = TypeVar("T")

# For this long locations may load, and the store be busy, while a person waits for the shell.
COMPLETION_S = 2.0
STORE_S = 0.5
_MOST = 50


def run_ids() -> list[str]:
    """The newest runs, and `last`."""

    return _completions(lambda: [*_stored(lambda session: session.newest_run_ids()), "last"])


def active_runs() -> list[str]:
    """The runs that can be canceled: they wait or are under way."""
    from orchestrator.model.states import ACTIVE_RUN_STATES, RunState

    return _completions(lambda: _runs_in({RunState.QUEUED, *ACTIVE_RUN_STATES}))


def resumable_runs() -> list[str]:
    """The runs whose owner may be gone."""
    from orchestrator.model.states import ACTIVE_RUN_STATES

    return _completions(lambda: _runs_in(ACTIVE_RUN_STATES))


def ended_runs() -> list[str]:
    """The runs that are over."""
    from orchestrator.model.states import TERMINAL_RUN_STATES

    return _completions(lambda: _runs_in(TERMINAL_RUN_STATES))


def failed_runs() -> list[str]:
    """The runs that failed or were canceled."""
    from orchestrator.model.states import RunState

    return _completions(lambda: _runs_in({RunState.FAILURE, RunState.CANCELED}))


def pipeline_names() -> list[str]:
    """The pipelines of all locations that load in time."""
    return _completions(lambda: [info.name for info in _pipelines()])


def asset_names() -> list[str]:
    """The assets of the catalog."""
    from orchestrator.model.asset import asset_name

    return _completions(lambda: [asset_name(asset.asset) for asset in _stored(lambda session: session.assets())])


def mode_names(ctx: typer.Context) -> list[str]:
    """The modes of the pipeline on the command line; without one, of all."""
    return _completions(lambda: [mode for info in _pipelines(_pipeline_given(ctx)) for mode in info.modes])


def preset_names(ctx: typer.Context) -> list[str]:
    """Likewise its presets."""
    return _completions(lambda: [preset for info in _pipelines(_pipeline_given(ctx)) for preset in info.presets])


def step_names(ctx: typer.Context) -> list[str]:
    """The steps of the run on the command line."""
    return _completions(lambda: _steps_of(_given(ctx, "run") or "last"))


def executor_names() -> list[str]:
    """The executors that come with this program."""
    return ["subprocess", "in_process"]


def run_states() -> list[str]:
    """The states of a run."""
    from orchestrator.model.states import RunState

    return [str(state) for state in RunState]


def tick_states() -> list[str]:
    """The states of a tick."""
    from orchestrator.model.states import TickState

    return [str(state) for state in TickState]


def time_zones() -> list[str]:
    """The time zones that this machine knows."""
    from zoneinfo import available_timezones

    return sorted(available_timezones())


def backup_files() -> list[str]:
    """The backups of the state."""
    from orchestrator.service.maintenance import backups

    return _completions(lambda: [str(path) for path in _in_workspace(lambda found: backups(found.state))])


def automation_names(*, schedules: bool) -> list[str]:
    """The schedules, or the sensors."""
    from orchestrator import clock
    from orchestrator.service.automations import look_up

    def names(found: Workspace) -> list[str]:
        known = look_up(found, clock.now(), patience=COMPLETION_S)
        return [one.name for one in known.of_kind(schedules=schedules)]

    return _completions(lambda: _in_workspace(names))


def _pipeline_given(ctx: typer.Context) -> str | None:
    name = _given(ctx, "pipeline", "name")
    return name.rpartition("/")[2] if name else None


def _given(ctx: typer.Context, *names: str) -> str | None:
    """The argument on the command line. While the value of an option is missing it is not parsed, and left over."""
    parsed = (ctx.params.get(name) for name in names)
    left_over = (word for word in ctx.args if not word.startswith("-"))
    return next((str(value) for value in (*parsed, *left_over) if value), None)


def _pipelines(name: str | None = None) -> list[PipelineInfo]:
    from orchestrator.service.workspace import load_locations

    loaded = _in_workspace(lambda found: load_locations(found, patience=COMPLETION_S))
    infos = [info for location in loaded for info in location.pipelines()]
    return [info for info in infos if name in (None, info.name)] or infos


def _runs_in(states: Iterable[Any]) -> list[str]:
    from orchestrator.model.filters import RunFilter

    which = RunFilter(statuses=tuple(states), limit=_MOST)
    return [run.run_id for run in _stored(lambda session: session.runs(which))]


def _steps_of(reference: str) -> list[str]:

    run_id = _stored(lambda session: session.run_id(reference))
    events = _in_workspace(lambda found: found.run(run_id).events())
    return sorted({step for event in events if (step := getattr(event, "step", None))})


def _stored(ask: Callable[[Session], T]) -> T:
    from orchestrator.service.session import open_session

    def with_session(found: Workspace) -> T:
        with open_session(found.state, patience=STORE_S) as session:
            return ask(session)

    return _in_workspace(with_session)


def _in_workspace(act: Callable[[Workspace], T]) -> T:
    from orchestrator.cli.options import workspace

    with workspace(quiet=True, only_reads=True) as found:
        return act(found)


def _completions(find: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return list(dict.fromkeys(find()))
    except Exception:  # a shell that completes a word has no place to show an error
        return []
