"""Records which runs are damaged or gone, and ends those that cannot go on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.catalog.codec import to_timestamp
from orchestrator.catalog.endings import write_endings
from orchestrator.catalog.kinds import reads, writes
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database

# What only the database knows. Run keys are in the records of runs as well.
LOST_WITH_DATABASE = (
    "ticks, cursors, queued runs and which schedules and sensors are on were only there. Restore a backup if there is"
    " one (`orchestrator state restore`), or turn on what should be on. A sensor that goes by its cursor alone starts"
    " from the beginning: `orchestrator sensor cursor NAME --set` first."
)
FILES_GONE = "its files were removed before it was over"


@reads
def list_damage(database: Database) -> list[tuple[str, str]]:
    """What is known to be damaged: (run, problem)."""
    return database.rows("SELECT run_id, problem FROM damage ORDER BY run_id, problem")


@writes
def note_damage(database: Database, run_id: str, problem: str) -> None:
    """Notes a problem of a run; of the whole state when there is no run."""
    database.execute("INSERT INTO damage VALUES (?, ?)", [run_id, problem])


@writes
def forget_damage(database: Database, run_ids: list[str]) -> None:
    """Takes back what was noted of these runs."""
    database.execute("DELETE FROM damage WHERE run_id IN (SELECT unnest(?))", [run_ids])


@writes
def end_lost_runs(database: Database, state: StateDir, now: datetime) -> list[str]:
    """Ends as failed the runs that have begun and whose files are gone; which ones. Nobody could go on with them, and
    an open run keeps others from starting. One that the queue still remembers can be created again: it is left alone.
    """
    over = [str(one) for one in TERMINAL_RUN_STATES]
    rows = database.rows(
        "SELECT run_id FROM runs WHERE status <> 'QUEUED' AND status NOT IN (SELECT unnest(?))"
        " AND run_id NOT IN (SELECT run_id FROM queue)",
        [over],
    )
    lost = [run_id for (run_id,) in rows if RunLog(state, run_id).is_lost()]
    if lost:
        with database.transaction():
            database.execute(
                "UPDATE runs SET status = ?, finished_at = ?, reason = ? WHERE run_id IN (SELECT unnest(?))",
                [str(RunState.FAILURE), to_timestamp(now), FILES_GONE, lost],
            )
            write_endings(database, [(run_id, str(RunState.FAILURE), now) for run_id in lost])
            problems = [f"The files of run {run_id} were removed before it was over." for run_id in lost]
            database.insert("damage", {"run_id": lost, "problem": problems})
    return lost
