"""Is all well? A pure judgement on the condition of everything, in sentences that say what to do.

Occurrences that were not run are no problem by themselves: that is what their schedule's policy asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from orchestrator._version import __version__
from orchestrator.clock import format_duration
from orchestrator.errors import gist
from orchestrator.operations.condition import DaemonStatus, InstigatorStatus, LocationStatus, Status
from orchestrator.records import RunSummary

# An import that takes longer than this hangs, or waits for something that does not come.
LOADING = timedelta(minutes=1)
# A process that has ended by itself this often of late is in a loop.
_RESTARTS = 3
# So many damaged files are named; more of them have one cause.
_MOST_DAMAGE = 5


def problems_of(status: Status, now: datetime) -> Iterator[str]:
    """What is not well, the gravest first."""
    if status.unreadable is not None:
        yield status.unreadable
    yield from _daemon(status, now)
    if status.queue_paused and (queued := status.daemon.queued):
        runs = "a run waits" if queued == 1 else f"{queued} runs wait"
        yield f"the queue is paused, and {runs} in it: raise run_queue.max_concurrent_runs, which is 0"
    for location in status.locations:
        yield from _location(location, now)
    for one in status.instigators:
        yield from _instigator(one, now)
    yield from _damage(status.damaged)
    for run in status.interrupted_runs:
        yield f"nobody drives run {run.run_id} of {run.pipeline}: `orchestrator runs resume {run.run_id}`, or cancel it"
    for run in status.standing_failures:
        yield f"the last run of {run.pipeline} has failed{_when(run, now)}: `orchestrator runs show {run.run_id}`"


def _damage(problems: tuple[str, ...]) -> Iterator[str]:
    for problem in problems[:_MOST_DAMAGE]:
        yield f"{problem.rstrip('.')}: `orchestrator state check --repair`"
    if len(problems) > _MOST_DAMAGE:
        yield f"{len(problems) - _MOST_DAMAGE:,} more problems of this kind: `orchestrator state check` lists them"


def _daemon(status: Status, now: datetime) -> Iterator[str]:
    daemon = status.daemon
    if not daemon.running:
        yield from _absence(status, now)
        return
    if daemon.silence is not None:
        yield daemon.silence
    if daemon.version not in (None, __version__):
        yield (
            f"the daemon is version {daemon.version}, and this command {__version__}: stop it and start it again"
            " after an upgrade"
        )
    if daemon.workspace_error is not None:
        first = daemon.workspace_error.splitlines()[0]
        yield f"the daemon goes by what the workspace file said before: {first}"
    yield from _concerns(daemon, now)


def _absence(status: Status, now: datetime) -> Iterator[str]:
    on = sum(one.is_on for one in status.instigators)
    queued = status.daemon.queued
    waiting = []
    if on:
        waiting.append("a schedule or sensor that is on" if on == 1 else f"{on} schedules and sensors that are on")
    if queued:
        waiting.append("a queued run" if queued == 1 else f"{queued} queued runs")
    if not waiting:
        return
    died = status.daemon.turned_at
    ended = f" (the last one died {format_duration((now - died).total_seconds())} ago)" if died else ""
    verb = "waits" if on + queued == 1 else "wait"
    yield f"no daemon is running{ended}, and {' and '.join(waiting)} {verb} for it: `orchestrator daemon start`"


def _concerns(daemon: DaemonStatus, now: datetime) -> Iterator[str]:
    for concern in daemon.concerns:
        if not concern["alive"]:
            yield f"the daemon's {concern['name']} gets no turns"
        if concern["erroring"]:
            since = _ago(concern.get("error_at"), now, " for {}")
            yield f"the daemon's {concern['name']} fails{since}: {gist(concern['error'])}"


def _location(location: LocationStatus, now: datetime) -> Iterator[str]:
    if location.error is not None:
        yield gist(location.error)
    elif location.state == "loading" and location.since is not None and now - location.since > LOADING:
        yield f"location {location.name} has been loading for {format_duration((now - location.since).total_seconds())}"
    elif location.restarts >= _RESTARTS:
        yield f"the process of location {location.name} has ended by itself {location.restarts} times"
    for one in location.broken:
        yield gist(one.error)


def _instigator(one: InstigatorStatus, now: datetime) -> Iterator[str]:
    if not one.is_on:
        return
    if one.gone:
        word = "schedule" if one.kind == "schedule" else "sensor"
        yield f"{one.name} is on and its definition is gone: `orchestrator {word} forget {one.name}`"
    elif one.failures:
        often = "has failed" if one.failures == 1 else f"has failed {one.failures:,} times in a row"
        since = _ago(one.failing_since, now, ", for {}") if one.failures > 1 else ""
        error = gist(one.last.error) if one.last is not None and one.last.error else ""
        yield f"{one.name} {often}{since}: {error}"


def _when(run: RunSummary, now: datetime) -> str:
    return _ago(run.finished_at or run.created_at, now, ", {} ago")


def _ago(instant: datetime | str | None, now: datetime, words: str) -> str:
    if instant is None:
        return ""
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return words.format(format_duration(max(0.0, (now - at).total_seconds())))
