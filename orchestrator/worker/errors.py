"""Converts exceptions of user code to data, with the frames that belong to the user."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import traceback
from bdb import BdbQuit
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from orchestrator.definitions.source_location import Where
from orchestrator.definitions.values import Failure, plain_metadata
from orchestrator.errors import DefinitionError
from orchestrator.model.error_info import ErrorInfo, Frame

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_STANDARD = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120
_LONGEST_MESSAGE = 65536
_MOST_FRAMES = 40
_DEEPEST_CAUSE = 8
_MOST_DECORATORS = 40
_MOST_MEMBERS = 50
_MOST_INDENTED = 8
# What is added to an error that says nothing at all, or only how much it wanted.
OUT_OF_MEMORY = "Out of memory: the step needs more than the machine, or a limit (`ulimit -v`), leaves it."
# What is added to the error of a debugger that found no terminal.
NO_TERMINAL = (
    "A debugger needs a terminal, and a step runs in a process without one. Run the pipeline in yours:"
    " `python -m pdb` on a script that calls PIPELINE.execute_in_process(...). See docs/debugging.md."
)


def error_info(error: BaseException) -> ErrorInfo:
    """The exception and its causes, without the frames of this package and of the import machinery.

    Never fails: an exception is user code too, and one that cannot be described must not hide that it was raised.
    """
    return _info(error, 0)


def _info(error: BaseException, depth: int) -> ErrorInfo:
    try:
        cause = _cause(error) if depth < _DEEPEST_CAUSE else None
        return ErrorInfo(
            kind=_kind(error),
            message=_message(error),
            frames=user_frames(_attribute(error, "__traceback__")),
            cause=_info(cause, depth + 1) if cause is not None else None,
            metadata=plain_metadata(_attribute(error, "metadata"), "Failure") if is_a(error, Failure) else {},
        )
    except BaseException as problem:  # also SystemExit: whatever the exception's own methods do
        said = _own_words(error)
        return ErrorInfo(_kind(error), f"{said} (the rest cannot be described: {type(problem).__qualname__})".strip())


def _cause(error: BaseException) -> BaseException | None:
    cause: BaseException | None = _attribute(error, "__cause__")
    if cause is not None or _attribute(error, "__suppress_context__"):
        return cause
    context: BaseException | None = _attribute(error, "__context__")
    return context


def _attribute(error: BaseException, name: str) -> Any:
    """What Python itself keeps with an exception, without asking the exception, which may refuse."""
    return object.__getattribute__(error, name)


def is_a(error: BaseException | None, kind: type[BaseException]) -> bool:
    """`isinstance`, which asks the object for its class and so may run user code."""
    return issubclass(type(error), kind)


def user_frames(trace: TracebackType | None) -> tuple[Frame, ...]:
    """The frames of user code in a traceback, outermost first; of very many, the first and the last."""
    found = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace) if is_foreign(frame.f_code.co_filename)]
    if len(found) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        found = [*found[:half], *found[-half:]]
    return tuple(
        Frame(code.co_filename, line, code.co_name, linecache.getline(code.co_filename, line).strip())
        for code, line in found
    )


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
    try:
        return _formatted(error)
    except BaseException:  # the exception's own methods fail, or it is nested too deeply
        info = error_info(error)
        frames = [f'  File "{frame.file}", line {frame.line}, in {frame.function}' for frame in info.frames]
        return "\n".join([*frames, f"{info.kind}: {info.message}"])


def _formatted(error: BaseException) -> str:
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
    if not isinstance(module, str) or module == "builtins" or module.split(".")[0] == "orchestrator":
        return name
    return f"{module}.{name}"


def _message(error: BaseException) -> str:
    lines = [_own_words(error), *_members(error), *_notes(error)]
    if is_a(error, MemoryError):
        lines.append(OUT_OF_MEMORY)
    if is_a(error, BdbQuit) and not _has_terminal():
        lines.append(NO_TERMINAL)
    text = "\n".join(line for line in lines if line)
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[:_LONGEST_MESSAGE]}... ({len(text) - _LONGEST_MESSAGE} more characters)"
    return text


def _has_terminal() -> bool:
    try:
        return sys.stdin.isatty()
    except Exception:  # closed, or replaced by anything
        return False


def _own_words(error: BaseException) -> str:
    try:
        if is_a(error, SyntaxError):
            return "".join(traceback.format_exception_only(error)).strip()
        return str.__str__(str(error))
    except BaseException:  # __str__ is user code, and may even raise SystemExit
        return "(its message could not be made: its own __str__ failed)"


def _members(group: BaseException) -> Iterator[str]:
    """The exceptions in a group, one a line. Groups may be nested to any depth."""
    waiting = [(group, 0)]
    count = 0
    while waiting:
        error, depth = waiting.pop()
        if depth:
            count += 1
            if count > _MOST_MEMBERS:
                yield f"- and more ({len(waiting) + 1} of them not looked into)"
                return
            yield f"{'  ' * min(depth - 1, _MOST_INDENTED)}- {_kind(error)}: {_own_words(error)}"
        if is_a(error, BaseExceptionGroup):
            waiting += [(one, depth + 1) for one in reversed(_attribute(error, "exceptions"))]


def _notes(error: BaseException) -> list[str]:
    try:
        notes = _attribute(error, "__notes__")
    except AttributeError:
        return []
    return [str.__str__(note) for note in notes if isinstance(note, str)] if isinstance(notes, (list, tuple)) else []
