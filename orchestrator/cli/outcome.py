"""Turns the end of a command into an exit code, and is the one place where errors are shown. `errors` assigns the
codes; `docs/exit-codes.md` explains them.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from typer import Abort, Exit

from orchestrator.cli.output import painter, print_json_line, say
from orchestrator.errors import DISK_FULL, ConfigError, LocationBroken, OrchestratorError, StoreError, UsageError

OK = 0
RUN_FAILED = 1  # the run itself, or what a command judges
BUG = 70  # EX_SOFTWARE of sysexits.h: an error that is none of ours, and must not look like a run that failed
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
NOT_READ = 141  # 128 + SIGPIPE, as any program ends whose output is not read to its end (`| head`)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON. Known before it is parsed: its own mistakes are then JSON too."""
    words = list(arguments)
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def exit_with_outcome(command: Callable[[], Any], *, json: bool = False) -> NoReturn:
    """Runs a command and exits with its code. An error of ours is a message; any other is a traceback."""
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = code_of(command, json=json)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        code = NOT_READ
    except KeyboardInterrupt:  # while the outcome was shown
        code = INTERRUPTED
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except BrokenPipeError:
        code = NOT_READ
    # Not sys.exit: closing libraries down in order costs as much as starting them, and nothing is left to be done. It
    # would also flush streams without a reader.
    os._exit(code)


def code_of(command: Callable[[], Any], *, json: bool = False) -> int:
    """Runs a command; its exit code. Errors are shown, with `json` on stdout as an object too. Raises BrokenPipeError
    when its output is not read to the end."""
    try:
        result = command()
    except OrchestratorError as error:
        return _end(error, json)
    except Exit as error:
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        say("Interrupted.")
        return INTERRUPTED
    except SystemExit as error:
        if _is_broken_pipe(error.__context__):  # click takes it, and exits with 1
            raise BrokenPipeError from error
        return error.code if isinstance(error.code, int) else OK
    except BrokenPipeError:
        raise
    except OSError as error:
        explained = _explained(error)
        return _report_bug(error, json) if explained is None else _end(explained, json)
    except Exception as error:
        code = _show_usage_error(error, json)
        return _report_bug(error, json) if code is None else code
    return result if isinstance(result, int) else OK


def _end(error: OrchestratorError, json: bool) -> int:
    if json:
        print_json_line({"error": error_json(error)})
    show_error(error)
    return error.exit_code


def error_json(error: OrchestratorError) -> dict[str, Any]:
    """An error as scripts get it."""
    trace = {"traceback": error.traceback} if isinstance(error, LocationBroken) and error.traceback else {}
    return {
        "kind": error.kind(),
        "message": error.message,
        "hint": error.hint,
        "details": list(error.details),
        "exit_code": error.exit_code,
        **trace,
    }


def interrupted_json(message: str) -> dict[str, Any]:
    """The object for a command that was interrupted before it had a result."""
    return {"error": {**error_json(OrchestratorError(message)), "kind": "interrupted", "exit_code": INTERRUPTED}}


def _is_broken_pipe(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _explained(error: OSError) -> OrchestratorError | None:
    """What the operating system refuses for a reason that lies outside of this program; None for anything else."""
    if error.errno in DISK_FULL:
        what = f"{error.filename} cannot be written" if error.filename else "nothing more can be written"
        return StoreError(f"The disk is full: {what}.", hint="Free some space and try again.")
    try:
        Path.cwd()
    except OSError:
        return ConfigError("The working directory was deleted.", hint="Change to one that exists.")
    if isinstance(error.filename, str) and error.errno not in (None, errno.ENOENT):
        from orchestrator.state_dir import in_the_way

        return in_the_way(Path(error.filename), error)
    return None


def _show_usage_error(error: Exception, json: bool) -> int | None:
    """Shows an error of the command line as one of ours; its exit code, None for another error. Their class is in a
    private module of typer, so they are recognized by what they can do."""
    message, code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
    if not callable(message) or not isinstance(code, int):
        return None
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        say(message())
        return code
    hint = f"See `{context.command_path} --help`." if context is not None else None
    usage = UsageError(message(), hint=hint)
    usage.exit_code = code
    return _end(usage, json)


def _report_bug(error: Exception, json: bool) -> int:
    if json:
        bug = error_json(OrchestratorError(f"{type(error).__name__}: {error}", hint="Please report it."))
        print_json_line({"error": {**bug, "kind": "bug", "exit_code": BUG}})
    say(traceback.format_exc().rstrip())
    say("This is a bug in orchestrator, not in your code. Please report it.")
    return BUG


def show_error(error: OrchestratorError) -> None:
    """The error as a person should see it: what is wrong, where, and what to do."""
    if os.environ.get("ORCHESTRATOR_DEBUG"):
        say("".join(traceback.format_exception(error)).rstrip())
    paint = painter(sys.stderr)
    say(f"{paint('1;31', 'error:')} {error.message}")
    for detail in error.details:
        say(f"  - {detail}")
    if isinstance(error, LocationBroken) and error.traceback:
        say("\n" + error.traceback)
    if error.hint:
        say(f"{paint('36', 'hint:')} {error.hint}")
