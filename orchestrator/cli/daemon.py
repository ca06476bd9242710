"""`orchestrator daemon`: the process that is always on. Only `start` and `tick` import what it is made of."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import Json, group, session_of, until_interrupted, workspace
from orchestrator.cli.outcome import error_json, show_error
from orchestrator.cli.output import painter, print_json, print_json_line, put, say, whole
from orchestrator.errors import DaemonError, UsageError

if TYPE_CHECKING:
    from orchestrator.service.workspace import Workspace
    from orchestrator.state_dir import StateDir

app = group("Start, stop and watch the process that runs schedules and sensors.")

LogFormat = Annotated[str, typer.Option("--log-format", metavar="text|json", help="How log lines are written.")]
NOT_RUNNING = 7
_LOG_LINE = re.compile(r"(\d{4}-\S+Z) (\w+) +(.*)")
_MOST_TICKS = 100_000


@app.command(epilog="Example: orchestrator daemon start --detach")
def start(
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running, and return once it answers.")] = False,
    log_format: LogFormat = "text",
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True, help="Write to the log file only.")] = False,
    json: Json = False,
) -> int:
    """Run schedules, sensors and the queue, in the foreground until Ctrl-C."""
    if log_format not in ("text", "json"):
        raise UsageError(f"{log_format!r} is no log format.", hint="There is text and json.")
    if json and not detach:
        raise UsageError(
            "--json goes with --detach.", hint="For log lines as JSON: orchestrator daemon start --log-format json"
        )
    with workspace() as found:
        if detach:
            from orchestrator.daemon.control import start_detached

            pid = start_detached(found, log_format)
            if json:
                print_json({"pid": pid, "log": str(found.state.daemon_log)})
            say(f"The daemon runs as process {pid}. It says what it does in {found.state.daemon_log}.")
            return 0
        from orchestrator.daemon.process import run_daemon

        return run_daemon(found, log_format=log_format, echo=not quiet)


@app.command(epilog="Example: orchestrator daemon stop --drain")
def stop(
    drain: Annotated[bool, typer.Option("--drain", help="Wait for the runs in flight.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the runs in flight.")] = False,
    json: Json = False,
) -> None:
    """Stop the daemon. Steps that run go on, and the next daemon takes them over."""
    from orchestrator.daemon.control import stop_daemon

    if drain and cancel:
        raise UsageError("Give --drain or --cancel, not both.")
    with workspace() as found:
        was_there = stop_daemon(
            found.state,
            how="drain" if drain else "cancel" if cancel else "graceful",
            patience=86400.0 if drain else 60.0,
        )
    if json:
        print_json({"stopped": was_there})
    say("The daemon has stopped." if was_there else "No daemon is running.")


@app.command(epilog="Example: orchestrator daemon status --json")
def status(json: Json = False) -> int:
    """Say whether the daemon is alive, and how each of its concerns fares. Exits with 0 only if it is alive.

    A concern that fails is alive all the same; `orchestrator status` is the command that says whether all is well.
    """
    from orchestrator.service.daemon import describe_daemon

    with workspace() as found:
        try:
            described = describe_daemon(found.state)
        except DaemonError as error:
            if not json:
                raise
            print_json(_absent(found.state, error))
            show_error(error)
            return error.exit_code
    if json:
        print_json({"running": True, **described, "error": None})
    else:
        for line in _lines(described):
            put(line)
    return NOT_RUNNING if any(not one["alive"] for one in described["concerns"]) else 0


@app.command(epilog="Example: orchestrator daemon logs --follow")
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, metavar="N", help="How many of the last lines.")] = 50,
    json: Json = False,
) -> None:
    """Print what the daemon has said."""
    from orchestrator.service import daemon_log

    with workspace() as found:
        path = found.state.daemon_log
    if not path.exists():
        raise DaemonError("No daemon has run here yet.", hint="Start one with `orchestrator daemon start`.")
    with until_interrupted():
        for line in daemon_log.follow(path, lines) if follow else daemon_log.last_lines(path, lines):
            if json:
                print_json_line(_line_json(line))
            else:
                put(line, end="", flush=True)


@app.command(epilog="Example: orchestrator daemon tick")
def tick(json: Json = False) -> int:
    """Do everything that is due, wait for the runs that come of it, and end: for machines that have a cron already.

    What becomes due meanwhile is left to the next pass. Beside a daemon, or another pass, there is nothing to do.
    """
    from orchestrator.clock import now
    from orchestrator.daemon.process import run_daemon

    began = now()
    with workspace() as found:
        code = run_daemon(found, once=True)
        if json:
            print_json(_came_of_it(found, began))
    return code


@app.command(epilog="Example: orchestrator daemon install --save-environment")
def install(
    show: Annotated[bool, typer.Option("--print", help="Print the unit or agent, and write nothing.")] = False,
    save_environment: Annotated[
        bool, typer.Option("--save-environment", help="Save the values of the variables that the workspace asks for.")
    ] = False,
    json: Json = False,
) -> None:
    """Have systemd or launchd start the daemon at every login, and again whenever it ends by an error."""
    from orchestrator.cli.service_view import installed_lines
    from orchestrator.service_manager.install import installer_for

    with workspace() as found:
        installer = installer_for(found)
        if show:
            text = installer.text()
            print_json({"text": text}) if json else put(text, end="")
            return
        done = installer.install(save_environment=save_environment)
    if json:
        print_json(done)
        return
    for line in installed_lines(done, found.settings.path):
        put(line)


@app.command(epilog="Example: orchestrator daemon uninstall")
def uninstall(json: Json = False) -> None:
    """Stop the service that `install` has made, and remove it."""
    from orchestrator.cli.service_view import uninstalled_lines
    from orchestrator.service_manager.install import installer_for

    with workspace() as found:
        done = installer_for(found).uninstall()
    if json:
        print_json(done)
        return
    for line in uninstalled_lines(done):
        put(line)


def _absent(state: StateDir, error: DaemonError) -> dict[str, Any]:
    """What is known of a daemon that does not answer, or is not there."""
    from orchestrator.heartbeat import daemon_pid, last_heartbeat

    pid = daemon_pid(state)
    described: dict[str, Any] = {"running": pid is not None, "pid": pid, "loop_at": last_heartbeat(state)}
    described |= {"concerns": [], "locations": [], "next": [], "queue": {"running": 0, "queued": 0, "waiting": {}}}
    return {**described, "error": error_json(error)}


def _came_of_it(found: Workspace, began: datetime) -> dict[str, Any]:
    """The ticks of a pass, and the runs that were created in it."""
    from orchestrator.cli.ticks_view import as_json
    from orchestrator.model.filters import RunFilter, TickFilter

    with session_of(found) as session:
        ticks = session.ticks(TickFilter(since=began, limit=_MOST_TICKS))
        runs = session.runs(RunFilter(since=began, limit=None))
    return {"ticks": [as_json(one) for one in ticks], "runs": [whole(run) for run in runs]}


def _line_json(line: str) -> dict[str, Any]:
    """A line of the log as a record. Lines of a traceback stand by themselves."""
    import msgspec

    with contextlib.suppress(msgspec.DecodeError):
        record = msgspec.json.decode(line)
        if isinstance(record, dict):
            return record
    found = _LOG_LINE.match(line)
    at, level, message = found.groups() if found is not None else (None, None, line)
    return {"at": at, "level": level, "message": message.rstrip()}


def _lines(described: dict[str, Any]) -> list[str]:
    from datetime import datetime

    from orchestrator.clock import format_duration, now
    from orchestrator.errors import summary_line

    paint = painter()
    up = format_duration((now() - datetime.fromisoformat(described["started_at"])).total_seconds())
    lines = [f"{paint('32', '✓')} process {described['pid']}, up {up}, version {described['version']}"]
    pad = max(len(concern["name"]) for concern in described["concerns"])
    for concern in described["concerns"]:
        fine = concern["alive"] and not concern["erroring"]
        symbol = paint("32", "✓") if fine else paint("31", "✗")
        alive = "alive" if concern["alive"] else paint("31", "gets no turns")
        erroring = f", {paint('31', 'erroring')}: {summary_line(concern['error'])}" if concern["error"] else ""
        lines.append(f"  {symbol} {concern['name'].ljust(pad)}  {alive}{erroring}")
    queue = described["queue"]
    lines.append(f"{queue['running']} running, {queue['queued']} queued")
    lines += [f"  {run_id} waits: {reason}" for run_id, reason in list(queue["waiting"].items())[:10]]
    return lines
