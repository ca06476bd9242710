"""The feed of finished runs, in the order in which they became known. Run-status sensors read it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.catalog.codec import from_json, from_timestamp, to_json, to_timestamp
from orchestrator.catalog.kinds import reads, writes
from orchestrator.model.delivery import RunEnding
from orchestrator.model.run import ALERTS_TAG, Trigger
from orchestrator.model.states import RunState, StepState

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database


@writes
def write_endings(database: Database, endings: list[tuple[str, str, datetime | None]]) -> None:
    """Notes that runs have ended: (run, status, when). One that is noted already is not noted again, so that making
    the index anew repeats no alert."""
    if not endings:
        return
    known = set(
        database.rows(
            "SELECT run_id, finished_at FROM run_endings WHERE run_id IN (SELECT unnest(?))",
            [[run_id for run_id, _, _ in endings]],
        )
    )
    new = [one for one in endings if (one[0], to_timestamp(one[2])) not in known]
    start = newest_ending(database) + 1
    database.insert(
        "run_endings",
        {
            "ordinal": list(range(start, start + len(new))),
            "run_id": [run_id for run_id, _, _ in new],
            "status": [status for _, status, _ in new],
            "finished_at": [to_timestamp(at) for _, _, at in new],
        },
    )


@reads
def newest_ending(database: Database) -> int:
    """The ordinal of the newest ending; 0 when there is none."""
    row = database.row("SELECT max(ordinal) FROM run_endings")
    return int(row[0]) if row and row[0] is not None else 0


@reads
def endings_after(
    database: Database, ordinal: int, statuses: list[RunState], pipelines: list[str], limit: int, seen_by: str = ""
) -> list[RunEnding]:
    """The endings after that one, oldest first. No statuses or no pipelines: all of them. Without those of runs that
    `seen_by` has asked for itself, or has led to by way of other alerts: it would react to its own reactions for ever.
    """
    rows = database.rows(
        "SELECT ordinal, e.run_id, pipeline, location, mode, e.status, e.finished_at, reason, tags, trigger_json"
        " FROM run_endings e JOIN runs r USING (run_id) WHERE ordinal > ?"
        " AND (len(?) = 0 OR list_contains(?, e.status)) AND (len(?) = 0 OR list_contains(?, pipeline))"
        " AND NOT contains(coalesce(trigger_json, ''), ?)"
        " AND NOT list_contains(string_split(coalesce(tags ->> ?, ''), ' '), ?) ORDER BY ordinal LIMIT ?",
        [
            ordinal,
            *[[str(status) for status in statuses]] * 2,
            *[list(pipelines)] * 2,
            f'"name":{to_json(seen_by)}',
            f'$."{ALERTS_TAG}"',
            seen_by,
            limit,
        ],
    )
    failed = _failed_steps(database, [row[1] for row in rows])
    endings = []
    for row in rows:
        finished_at = from_timestamp(row[6])
        assert finished_at is not None
        endings.append(
            RunEnding(
                ordinal=row[0],
                run_id=row[1],
                pipeline=row[2],
                location=row[3],
                mode=row[4],
                status=RunState(row[5]),
                finished_at=finished_at,
                reason=row[7] or "",
                tags=from_json(row[8], dict[str, str]),
                failed_steps=failed.get(row[1], {}),
                trigger=from_json(row[9], Trigger) if row[9] else Trigger(),
            )
        )
    return endings


def _failed_steps(database: Database, run_ids: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    if run_ids:
        for run_id, step, error in database.rows(
            "SELECT run_id, step, error FROM steps WHERE status = ? AND run_id IN (SELECT unnest(?))",
            [str(StepState.FAILURE), run_ids],
        ):
            found.setdefault(run_id, {})[step] = error or ""
    return found
