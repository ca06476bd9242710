"""Writing down what an attempt does: its events, and the lines of its logger."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from orchestrator import clock
from orchestrator.definitions.values import AssetMaterialization, Expectation
from orchestrator.events import AssetMaterialized, AttemptEvent, ExpectationChecked, LogEmitted, encode_line
from orchestrator.location.interrupts import Interruption

LONGEST_LOG_MESSAGE = 65536

_E = TypeVar("_E", bound=AttemptEvent)
Write = Callable[[bytes, AttemptEvent], None]


class Recorder:
    """Numbers and stamps the events of one attempt and hands them to `write` as finished lines."""

    def __init__(self, step: str, attempt: int, write: Write, interruption: Interruption) -> None:
        self.step = step
        self.attempt = attempt
        self._write = write
        self._interruption = interruption
        self._count = 0

    def __call__(self, kind: type[_E], **fields: Any) -> None:
        with self._interruption.held():
            self._take(kind, fields)

    def _take(self, kind: type[_E], fields: dict[str, Any]) -> None:
        event = kind(at=clock.now(), step=self.step, attempt=self.attempt, n=self._count, **fields)
        try:
            line = encode_line(event)
        except (UnicodeEncodeError, OverflowError, TypeError, msgspec.EncodeError):
            event = _printable(event)
            line = encode_line(event)
        self._count += 1
        self._write(line, event)

    def record(self, fact: AssetMaterialization | Expectation) -> None:
        """Writes down a fact that user code stated."""
        if isinstance(fact, AssetMaterialization):
            self(
                AssetMaterialized,
                asset=fact.asset_key.parts,
                description=fact.description,
                metadata=fact.metadata,
                partition=fact.partition,
                tags=fact.tags,
            )
        else:
            self(
                ExpectationChecked,
                success=fact.success,
                label=fact.label,
                description=fact.description,
                metadata=fact.metadata,
            )

    def logger(self) -> logging.Logger:
        """A logger whose lines become events of this attempt."""
        logger = logging.Logger("orchestrator.step", logging.DEBUG)
        logger.addHandler(_Handler(self))
        return logger


class _Handler(logging.Handler):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def createLock(self) -> None:
        # A lock that some thread of the parent held at the moment of a fork would never be released here.
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
        except Exception:  # bad arguments for the format string: show what there is, as logging itself would
            message = f"{record.msg} {record.args!r}"
        if len(message) > LONGEST_LOG_MESSAGE:
            sys.stderr.write(message + "\n")
            left_out = len(message) - LONGEST_LOG_MESSAGE
            message = f"{message[:LONGEST_LOG_MESSAGE]}... ({left_out} more characters in stderr.log)"
        self._recorder(LogEmitted, level=record.levelname, message=message)


def _printable(event: _E) -> _E:
    """The same event with everything that JSON cannot carry (lone surrogates, huge integers) made into text."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
            return str(value)
        if isinstance(value, dict):
            return {clean(str(key)): clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(clean(item) for item in value)
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(
                value, **{name: clean(getattr(value, name)) for name in value.__struct_fields__}
            )
        return value

    return clean(event)  # type: ignore[no-any-return]
