"""Every error this package raises for a person to read, and the exit code each one ends a command with.

    OrchestratorError                 1   anything of ours
    ├─ UsageError                     2   the command line itself
    ├─ ConfigError                    3   the workspace file, or the configuration of a run
    ├─ DefinitionError                3   a pipeline, step, schedule ... that cannot be right
    │  └─ LocationBroken              3   a location whose module does not import
    ├─ NotFound                       4   a name or id that matches nothing, or more than one thing
    ├─ NotPossible                    4   known, but not in this state
    ├─ StoreError                     5   the state directory or its database
    │  ├─ StoreBusy                   5   another process holds it
    │  ├─ StoreConflict               5   two writers met; the same call may be made again
    │  ├─ StoreDamaged                5   a database that cannot be read
    │  ├─ RunDamaged                  5   a run whose files cannot be read
    │  └─ SchemaTooNew                5   written by a newer version
    ├─ ExecutionError                 6   processes that run user code
    │  ├─ LocationDied                6   a location process ended by itself
    │  ├─ ClusterRefused              6   the API server of a cluster refused something
    │  └─ ClusterUnreachable          6   it cannot be asked
    ├─ DaemonError                    7   the daemon is needed and absent, or present and in the way
    │  └─ DaemonSilent                7   there is a daemon, and it does not answer
    └─ TimedOut                       8   what a command waits for did not happen in the time it was given

A step that fails is not an error here: it is data (see `events`), because it is the user's program that failed.
This module knows nothing of how an error is shown.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable

# What the operating system calls a disk, or a share of one, that has no room left.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


# What to do about an environment variable that is not set.
HOW_TO_SET = (
    "Set it where this command, or the daemon, is started. A daemon that is a service is given what locations name"
    " under `env:`, by `orchestrator daemon install --save-environment`."
)


class OrchestratorError(Exception):
    """Something went wrong in a way we can explain.

    `hint` says what to do next, in the imperative; `details` are further lines that belong to the message (one
    problem each), shown below it.
    """

    exit_code = 1

    @classmethod
    def kind(cls) -> str:
        """The name of this error for scripts: `not_found` of NotFound, `store` of StoreError."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error") or "error")
        return words.lower()

    def __init__(self, message: str, *, hint: str | None = None, details: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        lines = [self.message, *(f"  - {detail}" for detail in self.details)]
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by the default protocol, and user code does pickle exceptions.
        return (_rebuild, (type(self), self.message, self.hint, self.details))


def _rebuild(
    cls: type[OrchestratorError], message: str, hint: str | None, details: tuple[str, ...]
) -> OrchestratorError:
    error = cls.__new__(cls)
    OrchestratorError.__init__(error, message, hint=hint, details=details)
    return error


class UsageError(OrchestratorError):
    """The command line asks for something contradictory or malformed."""

    exit_code = 2


class ConfigError(OrchestratorError):
    """The workspace file or a run's configuration is wrong; `details` holds every problem found, each with its path."""

    exit_code = 3


class DefinitionError(OrchestratorError):
    """A definition that can never work; the message names it, the module and the line."""

    exit_code = 3


class LocationBroken(DefinitionError):
    """A location whose module does not import; `traceback` starts in the user's file."""

    def __init__(self, message: str, *, traceback: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.traceback = traceback


class NotFound(OrchestratorError):
    """A name or an id that matches nothing."""

    exit_code = 4

    @classmethod
    def named(cls, kind: str, name: str, known: Iterable[str]) -> NotFound:
        """The error for an unknown name, saying which known ones are near it (or what there is, when few)."""
        known = sorted(set(known))
        return cls(f"There is no {kind} {name!r}.", hint=near_misses(name, known, kind))


class NotPossible(OrchestratorError):
    """The thing exists, but what was asked of it is not possible in the state it is in."""

    exit_code = 4


class StoreError(OrchestratorError):
    """The state directory or its database cannot be used."""

    exit_code = 5


class StoreBusy(StoreError):
    """Another process holds the database, and went on holding it for as long as we were prepared to wait."""


class StoreConflict(StoreError):
    """Two writers met on one row. Nothing was written; the same call may be made again."""


class StoreDamaged(StoreError):
    """The database cannot be read. What the journals hold can be had again; the rest is in the last backup."""


class RunDamaged(StoreError):
    """The files of one run cannot be read. Other runs are not affected. `is_newer`: they may well be whole, and were
    written by a newer version."""

    is_newer = False


class SchemaTooNew(StoreError):
    """The state directory was written by a newer version of this program."""


class ExecutionError(OrchestratorError):
    """User code could not be run at all (a run that fails is not this)."""

    exit_code = 6


class ClusterRefused(ExecutionError):
    """The API server of a cluster refused a request. `status` is the HTTP status, `reason` Kubernetes' word for it."""

    status = 0
    reason = ""


class ClusterUnreachable(ExecutionError):
    """The API server could not be asked, or gave no answer that counts. It may have done what was asked."""


class LocationDied(ExecutionError):
    """A location process ended without being asked to."""


class DaemonError(OrchestratorError):
    """The daemon is not there, or is there and should not be."""

    exit_code = 7


class DaemonSilent(DaemonError):
    """There is a daemon, and it does not answer: it is suspended, hangs, or has only just begun or ended."""


class TimedOut(OrchestratorError):
    """What a command waited for has not happened within its --timeout. Nothing is wrong with it."""

    exit_code = 8


# An error message is shown line by line, and no line of it longer than this. All of it is in the event.
LONGEST_LINE = 1000


def shortened(line: str, most: int = LONGEST_LINE) -> str:
    """The line, with a count in place of what is beyond the first `most` characters."""
    more = len(line) - most
    return line if more <= 0 else f"{line[:most]}... ({more:,} more characters)"


def summary_line(error: str) -> str:
    """The line of an error or of a traceback that says most: what was raised, or the first problem of several."""
    lines = error.strip("\n").splitlines() or [""]
    frames = [number for number, line in enumerate(lines) if line.lstrip().startswith('File "')]
    if frames:
        raised = [line for line in lines[frames[-1] + 1 :] if line and not line[0].isspace()]
        return shortened((raised or lines[-1:])[0].strip())
    first, rest = lines[0].strip(), lines[1:]
    return shortened(f"{first} {rest[0].strip().removeprefix('- ')}" if first.endswith(":") and rest else first)


def near_misses(name: str, known: Iterable[str], kind: str = "name") -> str:
    """What to say after an unknown name: the near ones, else all of them when they fit on a line, else their number."""
    known = list(known)
    if not known:
        return f"There is no {kind} at all here yet."
    import difflib  # takes 2 ms, and most processes report no error

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    if len(known) <= 8:
        return f"There is: {', '.join(known)}."
    return f"There are {len(known)} others."


class FirstError:
    """Keeps the first of several errors, so that the rest is done before it is raised."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    @property
    def has_any(self) -> bool:
        return self._error is not None

    def keep(self, error: Exception) -> None:
        self._error = self._error or error

    def raise_if_any(self) -> None:
        """Raises the error that was kept first, if any was."""
        if self._error is not None:
            raise self._error


def error_of_kind(
    kind: str, message: str, hint: str | None, details: tuple[str, ...], otherwise: type[OrchestratorError]
) -> OrchestratorError:
    """The error that another process has sent, by the name of its class; `otherwise` when this version has no such
    class, or one that needs more than was sent."""
    cls = globals().get(kind)
    known = isinstance(cls, type) and issubclass(cls, OrchestratorError) and cls is not LocationBroken
    return (cls if known else otherwise)(message, hint=hint, details=details)  # type: ignore[misc]
