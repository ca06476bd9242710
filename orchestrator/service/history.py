"""Reads what happened in a run from its files; no process has to be running for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from orchestrator.engine.progress import RunProgress
from orchestrator.engine.summary import run_detail
from orchestrator.errors import RunDamaged
from orchestrator.model.events import AnyEvent, Event
from orchestrator.model.run import RunDetail, RunRecord, RunSummary
from orchestrator.model.states import ACTIVE_RUN_STATES, RunState
from orchestrator.planning.plan import Plan, decode_plan
from orchestrator.regular import why
from orchestrator.runlog.logs import last_lines
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir


def progress_of(run_log: RunLog) -> RunProgress:
    """The state of a run as its journal tells it. Raises FileNotFoundError when its files are gone, and RunDamaged."""
    return replayed(run_log, run_log.record(), run_log.events())


def replayed(run_log: RunLog, record: RunRecord, events: Iterable[AnyEvent], plan: Plan | None = None) -> RunProgress:
    """The state of a run after these events. One that means nothing in this run is left out. `plan` is that of the
    record, where it is decoded already. Raises RunDamaged when there is no plan to apply them to."""
    try:
        progress = RunProgress(plan or decode_plan(record.plan), record.run_id)
    except (msgspec.MsgspecError, ValueError, LookupError, RecursionError) as error:
        raise run_log.damaged("its plan cannot be read", why(error)) from error
    for event in events:
        progress.apply_recorded(event)
    return progress


def detail_of(run_log: RunLog) -> RunDetail:
    """The run with all its steps."""
    return run_detail(run_log.record(), progress_of(run_log))


class RunView(Struct, frozen=True):
    """A run to be shown. `has_owner` is None in the process that drove it."""

    record: RunRecord
    progress: RunProgress
    events: tuple[Event, ...]
    run_log: RunLog
    has_owner: bool | None = None

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self.run_log.directory

    def last_lines(self, step: str, attempt: int, count: int) -> list[str]:
        """The last lines an attempt wrote, stderr after stdout, as text that cannot disturb a terminal."""
        return last_lines(self.run_log.log_files(step), attempt, count)


def view_run(run_log: RunLog) -> RunView:
    """The run as its files say now. Raises FileNotFoundError and RunDamaged."""
    has_owner = run_log.is_owned()  # before the journal is read: an owner that ends meanwhile has written all of it
    record, events = run_log.record(), run_log.events()
    return RunView(record, replayed(run_log, record, events), tuple(events), run_log, has_owner)


def has_owner(state: StateDir, run_id: str) -> bool:
    """Whether some process drives the run at this moment."""
    return RunLog(state, run_id).is_owned()


def is_abandoned(state: StateDir, run: RunSummary) -> bool:
    """Whether the run should have an owner and has none: its owner died."""
    run_log = RunLog(state, run.run_id)
    if run.status not in ACTIVE_RUN_STATES or run_log.is_owned():
        return False
    if run.status is RunState.STARTING and not run_log.exists():
        return False  # it has left the queue and has no files yet: the daemon, or the next one, begins it
    try:
        return not progress_of(run_log).is_finished  # it may have ended since it was listed
    except FileNotFoundError:
        return True
    except RunDamaged:
        return False  # it cannot be continued: the damage is reported elsewhere


def ancestors(state: StateDir, record: RunRecord) -> Iterator[tuple[str, RunProgress]]:
    """The run itself, the run it continued, the one that continued, as far as their files still exist."""
    seen: set[str] = set()
    while record.run_id not in seen:
        seen.add(record.run_id)
        run_log = RunLog(state, record.run_id)
        try:
            yield record.run_id, progress_of(run_log)
            if record.parent_run_id is None:
                return
            record = RunLog(state, record.parent_run_id).record()
        except (FileNotFoundError, RunDamaged):
            return
