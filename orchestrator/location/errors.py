"""Exceptions of user code as data, with the frames that belong to the user. What follows from one is for the engine to
say.
"""

from __future__ import annotations

import importlib
import linecache
import os
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

from orchestrator.definitions.values import Failure
from orchestrator.definitions.where import Where
from orchestrator.errors import DefinitionError
from orchestrator.events import ErrorInfo, Frame

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_LONGEST_MESSAGE = 65536
_MOST_FRAMES = 40
_DEEPEST_CAUSE = 8
_MOST_DECORATORS = 40


def error_info(error: BaseException, depth: int = 0) -> ErrorInfo:
    """The exception and its causes, without the frames of this package and of the import machinery."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ErrorInfo(
        kind=_kind(error),
        message=_message(error),
        frames=user_frames(error.__traceback__),
        cause=error_info(cause, depth + 1) if cause is not None and depth < _DEEPEST_CAUSE else None,
        metadata=error.metadata if isinstance(error, Failure) else {},
    )


def user_frames(trace: TracebackType | None) -> tuple[Frame, ...]:
    """The frames of user code in a traceback, outermost first; of very many, the first and the last."""
    frames = []
    for frame, line in traceback.walk_tb(trace):
        file = frame.f_code.co_filename
        if is_foreign(file):
            frames.append(Frame(file, line, frame.f_code.co_name, linecache.getline(file, line).strip()))
    if len(frames) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        frames = [*frames[:half], *frames[-half:]]
    return tuple(frames)


def leads_to_user_code(info: ErrorInfo) -> bool:
    """Whether a line of the user's own, and not only libraries', is among the frames of an error or its causes."""
    if any(not _is_library(frame.file) for frame in info.frames):
        return True
    return info.cause is not None and leads_to_user_code(info.cause)


def _is_library(file: str) -> bool:
    path = Path(file)
    # Cython names its sources relative to a build directory that is nowhere on this machine.
    is_compiled = path.suffix in (".pyx", ".pxi") and not path.is_absolute()
    return is_compiled or bool({"site-packages", "dist-packages"} & set(path.parts)) or file.startswith(_STANDARD)


def definition_frame(where: Where, name: str) -> Frame:
    """The line of a function's `def`, below its decorators."""
    for line in range(where.line, where.line + _MOST_DECORATORS):
        source = linecache.getline(where.file, line).strip()
        if source.startswith(("def ", "async def ")):
            return Frame(where.file, line, name, source)
    return Frame(where.file, where.line, name, linecache.getline(where.file, where.line).strip())


def is_foreign(file: str) -> bool:
    """Whether code in this file is neither ours nor the import machinery's."""
    return not file.startswith((_PACKAGE, "<frozen importlib")) and file != importlib.__file__


def load_traceback(error: BaseException) -> str:
    """The traceback of an import or an evaluation that failed, as Python prints it, beginning in the user's file; only
    the error when no line of the user's is to blame."""
    formatted = traceback.TracebackException.from_exception(error)
    current: traceback.TracebackException | None = formatted
    while current is not None:
        kept = [frame for frame in current.stack if is_foreign(frame.filename)]
        current.stack = traceback.StackSummary.from_list(kept) if kept else None  # type: ignore[assignment]
        current = current.__cause__ or current.__context__
    return "".join(formatted.format()).rstrip()


def way_to(error: DefinitionError) -> str:
    """The user's lines that led to an error of ours, without the error itself: that is shown apart. With a cause, all
    of it."""
    if error.__cause__ or error.__context__:
        return load_traceback(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_foreign(frame.filename)]
    lines = traceback.StackSummary.from_list(frames).format()
    return "".join(["Traceback (most recent call last):\n", *lines]).rstrip() if lines else ""


def _kind(error: BaseException) -> str:
    module = type(error).__module__
    name = type(error).__qualname__
    return name if module == "builtins" or module.split(".")[0] == "orchestrator" else f"{module}.{name}"


def _message(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        text = "".join(traceback.format_exception_only(error)).strip()
    else:
        try:
            text = str(error)
        except Exception:  # __str__ is user code
            text = "(its message could not be made: its own __str__ failed)"
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    text = "\n".join(
        [text, *(f"- {_kind(each)}: {_message(each)}" for each in inner), *getattr(error, "__notes__", [])]
    )
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[:_LONGEST_MESSAGE]}... ({len(text) - _LONGEST_MESSAGE} more characters)"
    return text
