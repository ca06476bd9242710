"""How a command ends: its exit code, and the one place where errors are shown. Which error has which code is for
`errors` to say.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from typer import Abort, Exit

from orchestrator.errors import DISK_FULL, LocationBroken, OrchestratorError, StoreError

OK = 0
RUN_FAILED = 1  # the run itself, or an error that is none of ours
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def exit_with_outcome(command: Callable[[], Any]) -> NoReturn:
    """Runs a command and exits with its code. An error of ours is a message; any other is a traceback."""
    try:
        code = code_of(command)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it (`| head`). Nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
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
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else OK
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in DISK_FULL:
            return _told_as_bug()
        what = f"{error.filename} cannot be written" if error.filename else "nothing more can be written"
        full = StoreError(f"The disk is full: {what}.", hint="Free some space and try again.")
        show_error(full)
        return full.exit_code
    except Exception as error:
        code = _told_by_typer(error)
        return _told_as_bug() if code is None else code
    return result if isinstance(result, int) else OK


def _told_by_typer(error: Exception) -> int | None:
    """Shows an error of the command line as typer would; its exit code, None for another error. Their class is in a
    private module of typer, so they are recognized by what they can do."""
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if not callable(show) or not isinstance(code, int):
        return None
    show()
    return code


def _told_as_bug() -> int:
    traceback.print_exc()
    print("This is a bug in orchestrator, not in your code. Please report it.", file=sys.stderr)
    return RUN_FAILED


def show_error(error: OrchestratorError) -> None:
    """The error as a person should see it: what is wrong, where, and what to do."""
    if os.environ.get("ORCHESTRATOR_DEBUG"):
        traceback.print_exception(error)
    paint = _painter()
    print(f"{paint('1;31', 'error:')} {error.message}", file=sys.stderr)
    for detail in error.details:
        print(f"  - {detail}", file=sys.stderr)
    if isinstance(error, LocationBroken) and error.traceback:
        print("\n" + error.traceback, file=sys.stderr)
    if error.hint:
        print(f"{paint('36', 'hint:')} {error.hint}", file=sys.stderr)


def _painter() -> Callable[[str, str], str]:
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return lambda code, text: f"\x1b[{code}m{text}\x1b[0m"
    return lambda _code, text: text
