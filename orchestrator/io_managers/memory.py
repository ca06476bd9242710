"""An IO manager for tests and notebooks: values stay in the memory of the process that made them."""

from __future__ import annotations

import sys
from typing import Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import io_manager
from orchestrator.definitions.type_checks import with_article
from orchestrator.definitions.values import Failure

# One dictionary for the process: a step's resources are made anew for each step, what they keep must outlive that.
_values: dict[tuple[str, ...], Any] = {}


class MemoryIOManager(IOManager):
    """Keeps values in a dictionary of the process.

    As with a manager that writes files, what a step does to an input in place is not seen by other steps: lists,
    dictionaries, sets, arrays and data frames are copied when they are stored and when they are loaded. Any other
    object is handed on as the object it is, except one that can be read only once (an iterator, a reader of record
    batches, an open file): the second step that reads it, or the second attempt, would find nothing left in it.
    """

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        if hasattr(type(obj), "__next__"):
            raise Failure(
                f"Output {context.name!r} of step {context.step!r}, {with_article(type(obj).__name__)}, can be read"
                " only once: return what it gives, for example list(value), or its path if it is a file."
            )
        _values[context.identifier()] = unshared(obj)

    def load_input(self, context: InputContext) -> Any:
        upstream = context.upstream_output
        if upstream.run_id is None:
            raise Failure(
                f"Step {upstream.step!r} is not part of this run, and memory_io_manager keeps no values from one run to"
                f" another. Select it as well: '*{context.step}'."
            )
        try:
            return unshared(_values[upstream.identifier()])
        except KeyError:
            raise Failure(
                f"The value of output {upstream.name!r} of step {upstream.step!r} was kept in memory and is gone:"
                " a run with memory_io_manager cannot be continued by another. Run the whole pipeline again."
            ) from None


def forget_run(run_id: str) -> None:
    """Deletes all values of one run."""
    for identifier in [identifier for identifier in _values if identifier[0] == run_id]:
        del _values[identifier]


def unshared(value: Any) -> Any:
    """The value with its containers copied, to any depth. What is no container of Python, numpy, pandas or polars is
    shared."""
    return _unshared(value, {})


def _unshared(value: Any, copies: dict[int, Any]) -> Any:
    kind = type(value)
    if kind not in _CONTAINERS:
        return _copied_array(value)
    if id(value) in copies:  # twice in the same value, or inside itself
        return copies[id(value)]
    copy: Any
    if kind is list:
        copy = copies[id(value)] = []
        copy.extend(_unshared(item, copies) for item in value)
    elif kind is dict:
        copy = copies[id(value)] = {}
        copy.update((key, _unshared(item, copies)) for key, item in value.items())
    elif kind is tuple:
        members = [_unshared(item, copies) for item in value]
        changed = any(new is not old for new, old in zip(members, value, strict=True))
        copy = copies[id(value)] = tuple(members) if changed else value
    else:
        copy = copies[id(value)] = kind(value)
    return copy


_CONTAINERS = frozenset({list, dict, tuple, set, bytearray})


def _copied_array(value: Any) -> Any:
    library = type(value).__module__.partition(".")[0]
    module: Any = sys.modules.get(library) if library in ("numpy", "pandas", "polars") else None
    if module is None:
        return value
    if library == "numpy":
        return value.copy() if isinstance(value, module.ndarray) else value
    if not isinstance(value, (module.DataFrame, module.Series)):
        return value
    if library == "polars":
        return value.clone()
    # Since version 3, pandas copies what is written to, at the time of the writing.
    return value.copy(deep=int(module.__version__.partition(".")[0]) < 3)


@io_manager(reach="process")
def memory_io_manager() -> MemoryIOManager:
    """Values stay in memory. Only for runs whose steps share one process."""
    return MemoryIOManager()
