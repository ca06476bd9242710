"""How a command ends: its exit code, and the one place where errors are shown. Which error has which code is for
`errors` to say.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from typer import Abort, Exit

from orchestrator.cli.output import painter, say
from orchestrator.errors import DISK_FULL, ConfigError, LocationBroken, OrchestratorError, StoreError, UsageError

OK = 0
RUN_FAILED = 1  # the run itself, or an error that is none of ours
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def exit_with_outcome(command: Callable[[], Any]) -> NoReturn:
    """Runs a command and exits with its code. An error of ours is a message; any other is a traceback."""
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = code_of(command)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it (`| head`). Nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except KeyboardInterrupt:  # while the outcome was shown
        code = INTERRUPTED
    if sys.stderr is not None:
        sys.stderr.flush()
    # Not sys.exit: closing libraries down in order costs as much as starting them, and nothing is left to be done.
    os._exit(code)


def code_of(command: Callable[[], Any]) -> int:
    """Runs a command; its exit code. What went wrong is shown."""
    try:
        result = command()
    except OrchestratorError as error:
        show_error(error)
        return error.exit_code
    except Exit as error:
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        say("Interrupted.")
        return INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else OK
    except BrokenPipeError:
        raise
    except OSError as error:
        explained = _explained(error)
        if explained is None:
            return _report_bug()
        show_error(explained)
        return explained.exit_code
    except Exception as error:
        code = _show_usage_error(error)
        return _report_bug() if code is None else code
    return result if isinstance(result, int) else OK


def _explained(error: OSError) -> OrchestratorError | None:
    """What the operating system refuses for a reason that lies outside of this program; None for anything else."""
    if error.errno in DISK_FULL:
        what = f"{error.filename} cannot be written" if error.filename else "nothing more can be written"
        return StoreError(f"The disk is full: {what}.", hint="Free some space and try again.")
    try:
        Path.cwd()
    except OSError:
        return ConfigError("The working directory was deleted.", hint="Change to one that exists.")
    return None


def _show_usage_error(error: Exception) -> int | None:
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
    show_error(UsageError(message(), hint=hint))
    return code


def _report_bug() -> int:
    say(traceback.format_exc().rstrip())
    say("This is a bug in orchestrator, not in your code. Please report it.")
    return RUN_FAILED


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
