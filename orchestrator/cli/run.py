"""`orchestrator run`: runs a pipeline in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.completers import ended_runs, executor_names, failed_runs, mode_names, preset_names
from orchestrator.cli.options import Json, NoWait, OptionalPipelineArgument, session_of, single, workspace
from orchestrator.cli.outcome import INTERRUPTED, OK, RUN_FAILED, interrupted_json
from orchestrator.cli.output import painter, print_json, print_json_line, put, say
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.planning.plan import PlanRequest
    from orchestrator.service.driver import OwnedRun
    from orchestrator.service.history import RunView
    from orchestrator.service.interrupts import Interrupts
    from orchestrator.service.start_run import Continued
    from orchestrator.service.workspace import Workspace

app = single()

_EPILOG = """Example: orchestrator run flights --mode duckdb --preset july --select '*report' --tag who=me

Selections: step, *step (with all it needs), step* (with all that need it), +step or step++ (levels), * (all steps);
in a run that continues another, step[key] is one key of a mapped step.

--rerun and --from-failure inherit the mode, configuration, inputs, selection, tags and executor of the earlier run.
--config and --set change single values of its configuration, --tag single tags; --select and --executor replace its
own, --mode also the configuration of its resources, --preset its mode, selection and whole configuration. --memoize is
not inherited. With --from-failure a step that succeeded is kept, unless its configuration or inputs change or a step
before it runs again."""


@app.command(epilog=_EPILOG)
def run(
    pipeline: OptionalPipelineArgument = None,
    config: Annotated[
        list[Path] | None, typer.Option("--config", "-c", metavar="FILE", help="YAML; several are merged.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="One value of the configuration.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="The mode to run in.", autocompletion=mode_names)
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="PRESET", help="A preset of the pipeline.", autocompletion=preset_names)
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option("--select", "-s", metavar="QUERY", help="Run only these steps.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag for the run.")] = None,
    executor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="subprocess, in_process, kubernetes, ...", autocompletion=executor_names),
    ] = None,
    rerun: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Run all of an earlier run again: its id, or `last`.", autocompletion=ended_runs
        ),
    ] = None,
    from_failure: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Run what did not succeed in an earlier run: its id, or `last`.",
            autocompletion=failed_runs,
        ),
    ] = None,
    memoize: Annotated[bool, typer.Option("--memoize", help="Reuse outputs of the same version.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Queue it for the daemon, and return.")] = False,
    no_wait: NoWait = False,
    ignore_limits: Annotated[
        bool, typer.Option("--ignore-limits", help="Start even if a tag limit is full; that is kept on record.")
    ] = False,
    json: Json = False,
) -> int:
    """Run a pipeline in the foreground, with live progress. Ctrl-C cancels it, twice kills it."""
    if rerun and from_failure:
        raise UsageError("--rerun and --from-failure exclude each other.")
    if not pipeline and not rerun and not from_failure:
        raise UsageError("Name a pipeline.", hint="`orchestrator pipeline list` shows what there is.")
    _check_limit_options(detach, no_wait, ignore_limits)
    from orchestrator.service.location_specs import start_for

    with workspace() as found:
        if pipeline is not None:  # an earlier run knows which one
            start_for(found.pool, pipeline)
        request = _request(pipeline, mode, preset, config, sets, select, tag, executor, memoize)
        continued = _continued(found, rerun, from_failure)
        if detach:
            return _enqueue(found, request, continued, json)
        return start_and_drive(found, request, continued, json, no_wait=no_wait, ignore_limits=ignore_limits)


def _check_limit_options(detach: bool, no_wait: bool, ignore_limits: bool) -> None:
    if no_wait and ignore_limits:
        raise UsageError("--no-wait and --ignore-limits exclude each other.")
    if detach and (no_wait or ignore_limits):
        option = "--no-wait" if no_wait else "--ignore-limits"
        raise UsageError(
            f"--detach and {option} exclude each other.", hint="A queued run starts when the daemon has room for it."
        )


def _enqueue(found: Workspace, request: PlanRequest, continued: Continued | None, json: bool) -> int:
    from orchestrator import clock
    from orchestrator.cli.run_json import run_page_json, unbegun_json
    from orchestrator.service.daemon import has_daemon
    from orchestrator.service.enqueue import enqueue_run
    from orchestrator.service.history import view_run
    from orchestrator.service.queued_runs import find_unbegun

    run_id = enqueue_run(found, request, continued)
    if json:
        with session_of(found) as session:
            unbegun = find_unbegun(session, run_id)
        now = clock.now()
        print_json(
            unbegun_json(unbegun, now) if unbegun is not None else run_page_json(view_run(found.run(run_id)), now)
        )
    else:
        put(run_id)
    if not has_daemon(found.state):
        say("It waits in the queue until a daemon runs: orchestrator daemon start")
    elif not json:
        say(f"Queued. Follow it with: orchestrator runs logs {run_id} --follow")
    return OK


def _request(
    pipeline: str | None,
    mode: str | None,
    preset: str | None,
    config: list[Path] | None,
    sets: list[str] | None,
    select: list[str] | None,
    tag: list[str] | None,
    executor: str | None,
    memoize: bool,
) -> PlanRequest:
    from orchestrator.cli.run_config import read_config, read_tags
    from orchestrator.planning.plan import PlanRequest
    from orchestrator.typed import plain, typed_texts

    typed = read_config(config or [], sets or [])
    return PlanRequest(
        pipeline=pipeline or "",
        mode=mode,
        preset=preset,
        config=plain(typed),
        typed=tuple(typed_texts(typed)),
        selection=tuple(select or ()),
        tags=read_tags(tag or []),
        executor=executor,
        memoize=memoize,
    )


def _continued(found: Workspace, rerun: str | None, from_failure: str | None) -> Continued | None:
    reference = rerun or from_failure
    if reference is None:
        return None
    from orchestrator.service.start_run import Continued

    with session_of(found) as session:
        return Continued(session.run_id(reference), only_failed=from_failure is not None)


def start_and_drive(
    found: Workspace,
    request: PlanRequest,
    continued: Continued | None,
    json: bool,
    *,
    no_wait: bool = False,
    ignore_limits: bool = False,
) -> int:
    """Starts a run, once limits allow it, and stays with it until it is over; the exit code."""
    from orchestrator.cli.waiting import wait_display
    from orchestrator.service.admission import GaveUp, Terms
    from orchestrator.service.interrupts import Interrupts
    from orchestrator.service.start_run import new_run

    interrupts = Interrupts()
    try:
        with wait_display() as tell:
            terms = Terms(
                wait=not no_wait, ignore_limits=ignore_limits, tell=tell, prepare=lambda: take_signals(interrupts)
            )
            owned = new_run(found, request, continued, terms=terms, interrupts=interrupts)
    except GaveUp:
        return gave_up(interrupts, json)
    return drive_and_show(found, owned, interrupts, json)


def gave_up(interrupts: Interrupts, json: bool) -> int:
    """Says that a wait was interrupted; the exit code."""
    message = f"Stopped waiting ({interrupts.by}). Nothing was started."
    if json:
        print_json_line(interrupted_json(message))
    say(message)
    return INTERRUPTED


def drive_and_show(found: Workspace, owned: OwnedRun, interrupts: Interrupts, json: bool) -> int:
    """Drives a run until it is over, showing it; the exit code."""
    from orchestrator.cli.run_progress import make_display
    from orchestrator.service.foreground import drive

    take_signals(interrupts)
    driven = drive(found, owned, interrupts, make_display)
    _show(driven, json)
    return {"SUCCESS": OK, "CANCELED": INTERRUPTED}.get(driven.progress.status, RUN_FAILED)


def take_signals(interrupts: Interrupts) -> None:
    """From now on Ctrl-C and SIGTERM are noted, and do not end this process by themselves."""
    # SIGHUP is left alone: when its terminal goes away the owner dies, and the run can be resumed.
    signal.signal(signal.SIGINT, lambda *_: interrupts("Ctrl-C"))
    signal.signal(signal.SIGTERM, lambda *_: interrupts("SIGTERM"))


def _show(driven: RunView, json: bool) -> None:
    from orchestrator import clock

    if json:
        from orchestrator.cli.run_json import run_page_json  # takes 50 ms to import
        from orchestrator.service.history import view_run

        # Read again: an earlier owner may have driven a part of it.
        print_json(run_page_json(view_run(driven.run_log), clock.now()))
        return
    from orchestrator.cli.run_report import report

    for line in report(driven, now=clock.now(), paint=painter()):
        put(line)
    sys.stdout.flush()
