"""Numbers, stamps and masks the events of an attempt and the lines of its logger, and hands them to a writer."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from orchestrator import clock
from orchestrator.definitions.values import AssetMaterialization, Expectation, plain_metadata
from orchestrator.errors import DefinitionError, NotPossible
from orchestrator.masking import NOTHING, Masker
from orchestrator.model.events import (
    AssetMaterialized,
    AttemptEvent,
    AttemptFailed,
    AttemptOutcome,
    ExpectationChecked,
    LogEmitted,
    encode_line,
)
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.process_exit import leave_copy

LONGEST_LOG_MESSAGE = 65536
# So many characters of log lines become events of an attempt; the rest is printed.
MOST_LOGGED = 16 << 20

# An event with more bytes is not recorded as it is.
LARGEST_EVENT = 4 << 20

_STEP_LOGGER = "orchestrator.step"

# The fields of events that carry words of user code. The others hold names, which other events refer to.
_WORDS = frozenset({"message", "error", "description", "metadata", "problem", "tags", "label", "partition"})

_E = TypeVar("_E", bound=AttemptEvent)
Write = Callable[[bytes, AttemptEvent], None]


class Recorder:
    """Numbers and stamps the events of one attempt and hands them to `write` as finished lines. `mask`
    hides secrets in whatever words of the user's code quote them."""

    def __init__(
        self,
        step: str,
        attempt: int,
        write: Write,
        interruption: Interruption,
        mask: Masker = NOTHING,
        before_log: Callable[[], None] = lambda: None,
        parent: logging.Logger | None = None,
    ) -> None:
        self._before_log = before_log
        self._parent = parent  # whose handlers get the lines too
        self._logged = 0
        self.step = step
        self.attempt = attempt
        self._write = write
        self._interruption = interruption
        self._mask = mask
        self._count = 0
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._writing = False
        self._waiting: deque[tuple[type[AttemptEvent], dict[str, Any]]] = deque()
        self._is_over = False

    @property
    def is_copy(self) -> bool:
        """Whether this is a child that user code has forked. It has a copy of everything, and nothing to record."""
        return os.getpid() != self._pid

    def __call__(self, kind: type[_E], **fields: Any) -> None:
        if self.is_copy or self._is_over:
            # A line of a pool's worker, or of a daemon thread after the outcome, which is the last event.
            if kind is LogEmitted:
                _print(self._mask(_line(fields["level"], fields["message"], fields.get("logger", ""))))
            elif self.is_copy:
                leave_copy(None)
            return
        with self._interruption.held(), self._lock:
            self._waiting.append((kind, fields))
            if self._writing:
                return  # a signal handler logs in the middle of writing: its line comes next
            self._writing = True
            try:
                while self._waiting:
                    self._take(*self._waiting.popleft())
            finally:
                self._writing = False

    def _take(self, kind: type[AttemptEvent], fields: dict[str, Any]) -> None:
        if self._mask:
            fields = {
                name: _texts_changed(value, self._mask) if name in _WORDS else value for name, value in fields.items()
            }
        event = kind(at=clock.now(), step=self.step, attempt=self.attempt, n=self._count, **fields)
        try:
            line = encode_line(event)
        except (UnicodeEncodeError, OverflowError, TypeError, msgspec.EncodeError):
            event = _printable(event)
            line = encode_line(event)
        if len(line) > LARGEST_EVENT:
            event = _reduced(event, len(line))
            line = encode_line(event)
        self._count += 1
        self._is_over = isinstance(event, AttemptOutcome)
        self._write(line, event)

    def record(self, fact: AssetMaterialization | Expectation) -> None:
        """Writes down a fact that user code stated. Raises NotPossible in a child process, where it would be lost."""
        if self.is_copy:
            raise NotPossible(
                f"Step {self.step!r} stated a fact about data in a child process, where it cannot be recorded.",
                hint="Return it to the step's own process (from a pool: as the result), and state it there.",
            )
        # Checked when the fact was made, and user code may have changed it since.
        metadata = plain_metadata(fact.metadata, f"a fact of step {self.step!r}")
        if isinstance(fact, AssetMaterialization):
            self(
                AssetMaterialized,
                asset=fact.asset_key.parts,
                description=fact.description,
                metadata=metadata,
                partition=fact.partition,
                tags=fact.tags,
            )
        else:
            self(
                ExpectationChecked,
                success=fact.success,
                label=fact.label,
                description=fact.description,
                metadata=metadata,
            )

    def log(self, level: str, message: str, logger: str = "") -> None:
        """Writes down a line that was logged. What is too much for the journal of a run is printed instead."""
        self._before_log()
        message = self._mask(message)  # before anything is cut off: half a secret would not be found
        if len(message) > LONGEST_LOG_MESSAGE:
            _print(message)
            left_out = len(message) - LONGEST_LOG_MESSAGE
            message = f"{message[:LONGEST_LOG_MESSAGE]}... ({left_out} more characters in stderr.log)"
        if self._logged > MOST_LOGGED:
            _print(_line(level, message, logger))
            return
        self._logged += len(message)
        self(LogEmitted, level=level, message=message, **({"logger": logger} if logger else {}))
        if self._logged > MOST_LOGGED:
            self(
                LogEmitted,
                level="WARNING",
                message=f"This attempt has logged more than {MOST_LOGGED >> 20} MB: further lines go to stderr.log.",
            )

    def handler(self) -> logging.Handler:
        """Takes records of any logger."""
        return _Handler(self)

    def logger(self) -> logging.Logger:
        """A logger whose lines become events of this attempt."""
        logger = logging.Logger(_STEP_LOGGER, logging.DEBUG)
        logger.addHandler(self.handler())
        logger.parent = self._parent
        return logger


class _NoLock:
    """Stands in for a lock where none is needed."""

    def acquire(self) -> None:
        pass

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _Handler(logging.Handler):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def createLock(self) -> None:
        # Another lock could be held at the moment of a fork, and would never be released in the child. The recorder
        # has one of its own. `None` will not do: since Python 3.13, `Handler.handle` enters the lock unasked.
        self.lock = _NoLock()  # type: ignore[assignment]

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
        except Exception:  # bad arguments for the format string: show what there is, as logging itself would
            message = f"{record.msg} {record.args!r}"
        self._recorder.log(record.levelname, message, "" if record.name == _STEP_LOGGER else record.name)


def _line(level: str, message: str, logger: str) -> str:
    return f"{level} {logger}: {message}" if logger else f"{level} {message}"


def _print(line: str) -> None:
    """Prints a log line that cannot become an event, so that it is not lost."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except Exception:  # closed, or replaced by user code
        pass


def _reduced(event: _E, size: int) -> _E:
    """The same event without what makes it too large for a journal, which is read as a whole. What the user's code
    can be told about raises DefinitionError; an outcome has to be recorded."""
    if isinstance(event, AttemptFailed):
        left_out = {"left out": f"metadata of {size >> 20} MB"}
        return msgspec.structs.replace(event, error=msgspec.structs.replace(event.error, metadata=left_out, cause=None))
    if isinstance(event, (AssetMaterialized, ExpectationChecked)):
        raise DefinitionError(
            f"A fact that step {event.step!r} states has {size >> 20} MB; at most {LARGEST_EVENT >> 20} are recorded.",
            hint="Metadata describes data. Store the data themselves as an output of the step.",
        )
    return event


def _printable(event: _E) -> _E:
    """The same event with everything that JSON cannot carry (lone surrogates, huge integers) made into text."""

    return _texts_changed(event, lambda text: text.encode("utf-8", "backslashreplace").decode())  # type: ignore[no-any-return]


def _texts_changed(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text inside it changed, and integers that JSON cannot carry made into text."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, dict):
        return {change(str(key)): _texts_changed(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_texts_changed(item, change) for item in value)
    if isinstance(value, msgspec.Struct):
        changed = {name: _texts_changed(getattr(value, name), change) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changed)
    return value
