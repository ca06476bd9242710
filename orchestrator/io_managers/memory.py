"""An IO manager for tests and notebooks: values stay in the memory of the process that made them. Writes no file."""

from __future__ import annotations

from typing import Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import io_manager
from orchestrator.definitions.values import Failure

# One dictionary for the process: a step's resources are made anew for each step, what they keep must outlive that.
_values: dict[tuple[str, ...], Any] = {}


class MemoryIOManager(IOManager):
    """Hands every value on as the very object it is."""

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        _values[context.identifier()] = obj

    def load_input(self, context: InputContext) -> Any:
        upstream = context.upstream_output
        if upstream.run_id is None:
            raise Failure(
                f"Step {upstream.step!r} is not part of this run, and memory_io_manager keeps no values from one run to"
                f" another. Select it as well: '*{context.step}'."
            )
        try:
            return _values[upstream.identifier()]
        except KeyError:
            raise Failure(
                f"The value of output {upstream.name!r} of step {upstream.step!r} was kept in memory and is gone:"
                " a run with memory_io_manager cannot be continued by another. Run the whole pipeline again."
            ) from None


def forget_run(run_id: str) -> None:
    """Lets go of all values of one run."""
    for identifier in [identifier for identifier in _values if identifier[0] == run_id]:
        del _values[identifier]


@io_manager(in_process_only=True)
def memory_io_manager() -> MemoryIOManager:
    """Values stay in memory. Only for runs whose steps share one process."""
    return MemoryIOManager()
