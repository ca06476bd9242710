"""Whether the daemon's loop turns, seen from outside: the time of a file that the loop touches.

Needs no answer from the daemon, so that it also tells of one that is suspended or hangs. Knows nothing of the loop.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from orchestrator.clock import format_duration, monotonic
from orchestrator.errors import DaemonSilent
from orchestrator.locks import is_locked, read_note
from orchestrator.state_dir import StateDir

# The loop turns at least every five seconds, and touches the file at most every second.
EVERY = timedelta(seconds=1)
# One that has not turned for this long does not turn: it is suspended, hangs, or waits for a disk.
STOPPED = timedelta(seconds=20)


def daemon_pid(state: StateDir) -> int | None:
    """The process id of the daemon of a state directory; None when there is none, 0 when it is not known."""
    if not is_locked(state.daemon_lock):
        return None
    note = read_note(state.daemon_lock)
    return int(note) if note.isascii() and note.isdigit() else 0


def touch(state: StateDir, now: datetime) -> None:
    """Notes that the loop has turned: the instant, and the moment on the clock that is never set, which all processes
    of a machine share until it is started again."""
    seconds, steady = now.timestamp(), monotonic()
    try:
        os.utime(state.daemon_json, (seconds, seconds))
        os.utime(state.daemon_lock, (steady, steady))
    except OSError:
        pass  # a full disk is reported elsewhere


def last_heartbeat(state: StateDir) -> datetime | None:
    """When the loop turned last; None when there is no daemon, or it has not begun to turn."""
    try:
        return datetime.fromtimestamp(state.daemon_json.stat().st_mtime, UTC)
    except OSError:
        return None


def since_beat(state: StateDir, now: datetime) -> timedelta | None:
    """How long ago the loop of a running daemon has turned, whatever was done to the clock; None when it has not begun
    to."""
    turned_at = last_heartbeat(state)
    if turned_at is None:
        return None
    try:
        steady = state.daemon_lock.stat().st_mtime
    except OSError:
        return now - turned_at
    # A file that an older version has written, or that has not been touched yet, has an instant there.
    return timedelta(seconds=monotonic() - steady) if steady <= monotonic() else now - turned_at


def is_turning(state: StateDir, now: datetime) -> bool:
    """Whether there is a daemon whose loop has turned a moment ago."""
    pid, ago = daemon_pid(state), since_beat(state, now)
    return pid is not None and not is_suspended(pid) and ago is not None and ago <= STOPPED


def unresponsive_error(state: StateDir, now: datetime) -> DaemonSilent:
    """Why the daemon does not answer, as far as can be seen from outside, and what to do about it."""
    pid, ago = daemon_pid(state), since_beat(state, now)
    if pid is None:
        return DaemonSilent("The daemon ended while it was asked.", hint="Look whether it has happened, and try again.")
    still = ""
    if ago is not None and ago > STOPPED:
        still = f", and its loop has not turned for {format_duration(ago.total_seconds())}"
    if not pid:  # no number that anybody could send a signal to
        return DaemonSilent(
            f"The daemon does not answer{still}, and its process is not known: {state.daemon_lock} does not say.",
            hint="It is starting or ending: try again in a moment.",
        )
    if is_suspended(pid):
        return DaemonSilent(
            f"The daemon (process {pid}) is suspended{still}.", hint=f"`kill -CONT {pid}` lets it go on."
        )
    if not still:
        return DaemonSilent(
            f"The daemon (process {pid}) does not answer.",
            hint="It is busy, starting or ending: try again in a moment.",
        )
    return DaemonSilent(
        f"The daemon (process {pid}) hangs: it does not answer{still}.",
        hint=f"`kill -USR1 {pid}` has it write where it hangs, into {state.daemon_err} or its terminal."
        f" `kill -9 {pid}` ends it; nothing is lost by that, and the next daemon takes its runs over.",
    )


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # there is, and it belongs to another user
    return True


def is_suspended(pid: int) -> bool:
    """Whether a process was stopped by a signal (SIGSTOP, Ctrl-Z, a debugger) and not continued since."""
    import psutil

    try:
        return bool(pid) and psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except (psutil.Error, OSError, ValueError):
        return False
