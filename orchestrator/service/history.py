"""Reads what happened in a run from its files; no process has to be running for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from orchestrator.engine.progress import RunProgress
from orchestrator.engine.summary import run_detail
from orchestrator.errors import RunDamaged
from orchestrator.event_lines import decode_lines
from orchestrator.events import AnyEvent
from orchestrator.layout import RunDir, StateDir
from orchestrator.locks import is_locked
from orchestrator.planning.plan import decode_plan
from orchestrator.records import RunDetail, RunRecord, RunSummary
from orchestrator.regular import why
from orchestrator.run_files import damaged, read_journal, read_record
from orchestrator.states import ACTIVE_RUN_STATES, RunState


def progress_of(run_dir: RunDir) -> RunProgress:
    """The state of a run as its journal tells it. Raises FileNotFoundError when its files are gone, and RunDamaged."""
    return replayed(run_dir, read_record(run_dir), decode_lines(read_journal(run_dir).lines))


def replayed(run_dir: RunDir, record: RunRecord, events: Iterable[AnyEvent]) -> RunProgress:
    """The state of a run after these events. One that means nothing in this run is left out. Raises RunDamaged when
    there is no plan to apply them to."""
    try:
        progress = RunProgress(decode_plan(record.plan), record.run_id)
    except (msgspec.MsgspecError, ValueError, LookupError, RecursionError) as error:
        raise damaged(run_dir, "its plan cannot be read", why(error)) from error
    for event in events:
        progress.apply_recorded(event)
    return progress


def detail_of(run_dir: RunDir) -> RunDetail:
    """The run with all its steps."""
    return run_detail(read_record(run_dir), progress_of(run_dir))


def is_driven(run_dir: RunDir) -> bool:
    """Whether some process owns the run at this moment."""
    return is_locked(run_dir.owner_lock)


def is_abandoned(state: StateDir, run: RunSummary) -> bool:
    """Whether the run should be driven by somebody, and is by nobody: its owner died."""
    run_dir = state.run(run.run_id)
    if run.status not in ACTIVE_RUN_STATES or is_driven(run_dir):
        return False
    if run.status is RunState.STARTING and not run_dir.path.exists():
        return False  # it has left the queue and has no files yet: the daemon, or the next one, begins it
    try:
        return not progress_of(run_dir).is_finished  # it may have ended since it was listed
    except FileNotFoundError:
        return True
    except RunDamaged:
        return False  # nobody can go on with it: what is wrong with it is said elsewhere


def ancestors(state: StateDir, record: RunRecord) -> Iterator[tuple[str, RunProgress]]:
    """The run itself, the run it continued, the one that continued, as far as their files still exist."""
    seen: set[str] = set()
    while record.run_id not in seen:
        seen.add(record.run_id)
        run_dir = state.run(record.run_id)
        try:
            yield record.run_id, progress_of(run_dir)
            if record.parent_run_id is None:
                return
            record = read_record(state.run(record.parent_run_id))
        except (FileNotFoundError, RunDamaged):
            return
