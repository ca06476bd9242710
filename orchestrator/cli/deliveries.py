"""Failed alerts on the command line: `sensor deliveries`, `sensor retry` and `sensor acknowledge`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.cli.options import session_of, workspace
from orchestrator.cli.output import Cell, print_json, put, say, table
from orchestrator.cli.styles import BOLD, RED, YELLOW

if TYPE_CHECKING:
    from orchestrator.model.delivery import Delivery
    from orchestrator.service.session import Session


def show_deliveries(name: str | None, *, json: bool) -> None:
    """The failed alerts of a sensor, or of all."""
    from orchestrator import clock
    from orchestrator.service.automations import look_up, pick

    now = clock.now()
    with workspace() as found:
        if name is not None:
            name = pick(look_up(found, now, [name]), name, schedules=False).id
        with session_of(found) as session:
            deliveries = session.deliveries(name)
    if json:
        print_json([_as_json(one) for one in deliveries])
    elif deliveries:
        put(delivery_table(deliveries, now))
    else:
        say("No failed alerts.")


def retry_alerts(name: str, run: str | None, *, json: bool) -> None:
    """Has failed alerts tried again now."""
    from orchestrator.service.daemon import has_daemon
    from orchestrator.service.deliveries import retry_alerts

    id, count = _with_failed(name, run, retry_alerts)
    if json:
        print_json({"sensor": id, "alerts": count})
    if count:
        if not json:
            put(f"{_alerts(count)} of {id}: tried again now.")
        with workspace() as found:
            if not has_daemon(found.state):
                say("No daemon is running, so nothing happens yet: orchestrator daemon start")


def acknowledge_alerts(name: str, run: str | None, *, json: bool) -> None:
    """Dismisses failed alerts."""
    from orchestrator.service.deliveries import acknowledge_alerts

    id, count = _with_failed(name, run, acknowledge_alerts)
    if json:
        print_json({"sensor": id, "alerts": count})
    elif count:
        put(f"{_alerts(count)} of {id}: acknowledged, and not tried again.")


def delivery_table(deliveries: list[Delivery], now: datetime) -> str:
    """One line for each failed alert."""
    from orchestrator.cli.runs_view import ago
    from orchestrator.cli.ticks_view import until
    from orchestrator.errors import summary_line

    rows = [
        [
            Cell(one.sensor, BOLD),
            one.run.run_id,
            one.run.pipeline,
            one.run.status,
            one.attempts,
            ago(one.first_failed_at, now),
            Cell(until(one.next_at, now), YELLOW) if one.next_at else Cell("given up", RED),
            summary_line(one.error),
        ]
        for one in deliveries
    ]
    return table(["SENSOR", "RUN", "PIPELINE", "RUN STATUS", "ATTEMPTS", "FAILED FIRST", "NEXT TRY", "ERROR"], rows)


def _with_failed(
    name: str, run: str | None, act: Callable[[Session, list[Delivery], datetime], None]
) -> tuple[str, int]:
    """The sensor, and how many alerts that was."""
    from orchestrator import clock
    from orchestrator.service.automations import look_up, pick
    from orchestrator.service.deliveries import failed_alerts

    now = clock.now()
    with workspace() as found:
        one = pick(look_up(found, now, [name]), name, schedules=False)
        with session_of(found) as session:
            chosen = failed_alerts(session, one, run)
            if chosen:
                act(session, chosen, now)
    if not chosen:
        say(f"{one.id} has no failed alerts.")
    return one.id, len(chosen)


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{count:,} alerts"


def _as_json(one: Delivery) -> dict[str, object]:
    return {
        "sensor": one.sensor,
        "delivery_key": one.key,
        "run_id": one.run.run_id,
        "pipeline": one.run.pipeline,
        "run_status": one.run.status,
        "status": one.status,
        "attempts": one.attempts,
        "first_failed_at": one.first_failed_at,
        "last_failed_at": one.last_failed_at,
        "next_at": one.next_at,
        "error": one.error,
    }
