"""Health rules over a status snapshot: one problem for each thing that needs attention, with the command to use. Pure.

Occurrences that were not run are no problem by themselves: that is what their schedule's policy asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from orchestrator._version import __version__
from orchestrator.catalog.dashboard import ActiveRun, Behind, SkippedInARow, UndeliveredAlerts
from orchestrator.clock import format_duration
from orchestrator.errors import summary_line
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.location import distinct_errors
from orchestrator.model.run import RunSummary
from orchestrator.service.status_report import AutomationStatus, DaemonStatus, LocationStatus, Problem, Status

# An import that takes longer than this hangs, or waits for something that does not come.
LOADING = timedelta(minutes=1)
# A process that has ended by itself this often of late is in a loop.
_RESTARTS = 3
# So many damaged files are named; more of them have one cause.
_MOST_DAMAGE = 5
# A schedule is not doing its work when so many occurrences in a row were skipped because of one run.
SKIPPED_IN_A_ROW = 3
# A run that blocks its schedule is within its usual time up to this many times its usual duration.
_BLOCKING_TOO_LONG = 2
# A run is suspicious from so many times its usual duration on, and after at least that long.
TOO_LONG = 10
TOO_LONG_AT_LEAST = timedelta(minutes=5)
# So many runs that succeeded make a usual duration.
_ENOUGH_RUNS = 3
# Occurrences that wait in the queue are far behind from that many and that late on.
BEHIND_RUNS = 3
BEHIND_BY = timedelta(minutes=5)


def problems_of(status: Status, now: datetime) -> Iterator[Problem]:
    """What is not well, the gravest first."""
    if status.unreadable is not None:
        yield Problem("state", status.state_dir, status.unreadable)
    yield from _daemon(status, now)
    if status.queue_paused and (queued := status.daemon.queued):
        runs = "a run waits" if queued == 1 else f"{queued} runs wait"
        hint = "raise run_queue.max_concurrent_runs, which is 0"
        yield Problem("queue", "queue", f"the queue is paused, and {runs} in it", hint)
    for location in status.locations:
        yield from _location(location, now)
    for one in status.automations:
        yield from _automation(one, now)
    for alerts in status.undelivered:
        yield from _alerts(alerts, now)
    yield from _damage(status.damaged)
    for run in status.interrupted_runs:
        hint = f"`orchestrator runs resume {run.run_id}`, or `orchestrator runs cancel {run.run_id}`"
        yield Problem("interrupted_run", run.run_id, f"run {run.run_id} of {run.pipeline} has no owner", hint)
    for run in status.standing_failures:
        hint = f"`orchestrator runs show {run.run_id}`; to dismiss it, `orchestrator runs acknowledge {run.run_id}`"
        yield Problem("failed_run", run.pipeline, f"the last run of {run.pipeline} failed{_when(run, now)}", hint)
    yield from _slow_work(status, now)


def _daemon(status: Status, now: datetime) -> Iterator[Problem]:
    daemon = status.daemon
    if not daemon.running:
        yield from _absence(status, now)
        return
    if daemon.silence is not None:
        yield Problem("daemon", "daemon", daemon.silence)
    if daemon.version not in (None, __version__):
        sentence = f"the daemon is version {daemon.version}, and this command is {__version__}"
        yield Problem("daemon", "daemon", sentence, "`orchestrator daemon stop`, then `orchestrator daemon start`")
    if daemon.workspace_error is not None:
        first = daemon.workspace_error.splitlines()[0].rstrip(":")
        sentence = f"the daemon still uses the previous workspace file: {first}"
        yield Problem("settings", "daemon", sentence, "`orchestrator config check`")
    yield from _concerns(daemon, now)
    for executor in daemon.executors:
        yield from _executor(executor, now)


def _absence(status: Status, now: datetime) -> Iterator[Problem]:
    on = sum(one.is_on for one in status.automations)
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
    sentence = f"no daemon is running{ended}, and {' and '.join(waiting)} {verb} for it"
    yield Problem("daemon", "daemon", sentence, "`orchestrator daemon start`")


def _concerns(daemon: DaemonStatus, now: datetime) -> Iterator[Problem]:
    for concern in daemon.concerns:
        name = concern["name"]
        if not concern["alive"]:
            yield Problem("concern", name, f"the daemon's {name} gets no turns", "`orchestrator daemon logs`")
        if concern["erroring"]:
            since = _ago(concern.get("error_at"), now, " for {}")
            yield Problem("concern", name, f"the daemon's {name} fails{since}: {summary_line(concern['error'])}")


def _executor(executor: ExecutorHealth, now: datetime) -> Iterator[Problem]:
    if executor.problem is None:
        return
    since = _ago(executor.since, now, " for {}")
    attempts = executor.running + executor.waiting
    waits = f"; {attempts} attempts wait until it can be" if attempts else ""
    sentence = f"{executor.name} cannot be reached{since}{waits}: {summary_line(executor.problem).rstrip('.')}"
    yield Problem("executor", executor.name, sentence, "`orchestrator kubernetes check`")


def _location(location: LocationStatus, now: datetime) -> Iterator[Problem]:
    name = location.name
    if location.error is not None:
        yield Problem("location", name, summary_line(location.error))
    elif location.state == "loading" and location.since is not None and now - location.since > LOADING:
        age = format_duration((now - location.since).total_seconds())
        yield Problem("location", name, f"location {name} has been loading for {age}")
    elif location.restarts >= _RESTARTS:
        sentence = f"the process of location {name} has ended by itself {location.restarts} times"
        yield Problem("location", name, sentence, "`orchestrator daemon logs`")
    for one in distinct_errors(location.broken):
        yield Problem("definition", f"{name}/{one.name}", summary_line(one.error))


def _automation(one: AutomationStatus, now: datetime) -> Iterator[Problem]:
    word = "schedule" if one.kind == "schedule" else "sensor"
    like = "has the same pipeline and cron" if one.kind == "schedule" else "looks for the same"
    if one.is_on and one.gone:
        sentence, hint = f"{one.name} is on and its definition is gone", f"`orchestrator {word} forget {one.name}`"
        if one.renamed_to is not None:
            sentence = f"{one.name} is on and its definition is gone; {one.renamed_to} is new, off, and {like}"
            hint = f"`orchestrator {word} start {one.renamed_to}`, then {hint}"
        yield Problem("renamed" if one.renamed_to else "definition_gone", one.name, sentence, hint)
    elif one.is_on and one.failures:
        often = "has failed" if one.failures == 1 else f"has failed {one.failures:,} times in a row"
        since = _ago(one.failing_since, now, ", for {}") if one.failures > 1 else ""
        error = summary_line(one.last.error) if one.last is not None and one.last.error else ""
        yield Problem("failing", one.name, f"{one.name} {often}{since}: {error}")
    elif one.replaces is not None and not one.is_on and not one.gone:
        sentence = f"{one.name} is off and {like} as {one.replaces}, which was on until it was renamed or removed"
        hint = f"`orchestrator {word} start {one.name}`, or `orchestrator {word} stop {one.name}` to leave it off"
        yield Problem("renamed", one.name, sentence, hint)


def _alerts(alerts: UndeliveredAlerts, now: datetime) -> Iterator[Problem]:
    name, count = alerts.sensor, alerts.pending + alerts.given_up
    what = "an alert" if count == 1 else f"{count:,} alerts"
    since = _ago(alerts.first_failed_at, now, ", for {}")
    sentence = f"{what} of {name} could not be delivered{since}: {summary_line(alerts.error)}"
    hint = f"`orchestrator sensor deliveries {name}`"
    if alerts.given_up:
        again = f"`orchestrator sensor retry {name}`, or `orchestrator sensor acknowledge {name}`"
        sentence += f" ({alerts.given_up:,} given up)"
        hint = f"{hint}, then {again}"
    elif not alerts.is_on:
        sentence += " (the sensor is off, and retries nothing)"
        hint = f"`orchestrator sensor start {name}`, or `orchestrator sensor acknowledge {name}`"
    elif alerts.next_at is not None:
        sentence += f" (next try {_soon(alerts.next_at, now)})"
    yield Problem("alert", name, sentence, hint)


def _damage(problems: tuple[str, ...]) -> Iterator[Problem]:
    for problem in problems[:_MOST_DAMAGE]:
        yield Problem("damage", "state", problem.rstrip("."), "`orchestrator state check --repair`")
    if len(problems) > _MOST_DAMAGE:
        sentence = f"{len(problems) - _MOST_DAMAGE:,} more problems of this kind"
        yield Problem("damage", "state", sentence, "`orchestrator state check` lists them")


def _slow_work(status: Status, now: datetime) -> Iterator[Problem]:
    active = {run.run_id: run for run in status.usual}
    told = set()
    for skipped in status.skipped:
        problem = _skipped(skipped, active.get(skipped.run_id), now)
        if problem is not None:
            told.add(skipped.run_id)
            yield problem
    for run in status.usual:
        if run.run_id not in told and _is_too_long(run, now):
            sentence = f"run {run.run_id} of {run.pipeline} has been {_running(run, now)}"
            yield Problem("slow_run", run.run_id, sentence, _look_or_cancel(run.run_id))
    for behind in status.behind:
        yield from _behind(behind, now)


def _skipped(skipped: SkippedInARow, run: ActiveRun | None, now: datetime) -> Problem | None:
    """Not while the run is within its usual time: a schedule may be more frequent than its runs are fast."""
    if skipped.count < SKIPPED_IN_A_ROW or run is None:
        return None
    is_known = run.usual_s is not None and run.runs >= _ENOUGH_RUNS
    if run.started_at is not None and is_known and now - run.started_at < _times(_BLOCKING_TOO_LONG, run):
        return None
    why = f"has not finished ({_running(run, now)})" if run.started_at else "is still waiting in the queue"
    sentence = f"{skipped.name} was skipped {skipped.count:,} times in a row because run {run.run_id} {why}"
    return Problem("skipped", skipped.name, sentence, _look_or_cancel(run.run_id))


def _is_too_long(run: ActiveRun, now: datetime) -> bool:
    if run.started_at is None or run.usual_s is None or run.runs < _ENOUGH_RUNS:
        return False
    return now - run.started_at > max(TOO_LONG_AT_LEAST, _times(TOO_LONG, run))


def _times(factor: int, run: ActiveRun) -> timedelta:
    return timedelta(seconds=factor * (run.usual_s or 0.0))


def _running(run: ActiveRun, now: datetime) -> str:
    usual = f", usually {format_duration(run.usual_s)}" if run.usual_s is not None else ""
    return f"running for {_ago(run.started_at, now, '{}')}{usual}"


def _look_or_cancel(run_id: str) -> str:
    return f"`orchestrator runs show {run_id}`, `orchestrator runs cancel {run_id}`"


def _behind(behind: Behind, now: datetime) -> Iterator[Problem]:
    if behind.runs >= BEHIND_RUNS and now - behind.oldest > BEHIND_BY:
        sentence = (
            f"{behind.name} is {_ago(behind.oldest, now, '{}')} behind: {behind.runs:,} runs wait in the queue,"
            f" the oldest for {behind.oldest:%Y-%m-%d %H:%M}Z"
        )
        yield Problem("behind", behind.name, sentence, "`orchestrator runs list --status QUEUED`")


def _when(run: RunSummary, now: datetime) -> str:
    return _ago(run.finished_at or run.created_at, now, ", {} ago")


def _soon(instant: datetime, now: datetime) -> str:
    seconds = (instant - now).total_seconds()
    return "now" if seconds < 1 else f"in {format_duration(seconds)}"


def _ago(instant: datetime | str | None, now: datetime, words: str) -> str:
    if instant is None:
        return ""
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return words.format(format_duration(max(0.0, (now - at).total_seconds())))
