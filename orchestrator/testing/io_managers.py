"""A contract for IO managers, for the tests of their authors.

    from orchestrator.testing import IOManagerContract

    class TestMine(IOManagerContract):
        values = [1, "text", None]

        def manager(self):
            return MyIOManager(...)

pytest finds the tests of the base class. Each is what `IOManager` promises to pipelines.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager

_RUN, _LATER_RUN = "contracta001", "contractb002"


class IOManagerContract:
    """What every IO manager guarantees. Override `manager`, and `values` or `same` where they do not fit. With
    `is_shared` off, values need not reach another process (a manager that keeps them in memory)."""

    values: ClassVar[Sequence[Any]] = (1, "text", [1, 2], {"a": 1}, None)
    is_shared = True
    # Of the output and the step, for managers that name places by them.
    output_metadata: ClassVar[Mapping[str, Any]] = {}
    storage_dir: str | None = None

    def manager(self) -> IOManager:
        """A new manager over the same place each time: every step makes its own."""
        raise NotImplementedError("Return your IO manager from `manager`.")

    def same(self, stored: Any, loaded: Any) -> bool:
        """Whether a value came back as it was."""
        return bool(stored == loaded)

    def output(self, run_id: str = _RUN, **fields: Any) -> OutputContext:
        """The context of a value."""
        return OutputContext(run_id=run_id, metadata=self.output_metadata, storage_dir=self.storage_dir, **fields)

    def store(self, value: Any, context: OutputContext) -> None:
        facts = self.manager().handle_output(context, value)
        if isinstance(facts, Iterator):
            list(facts)  # it yields what it records

    def load(self, context: OutputContext) -> Any:
        return self.manager().load_input(InputContext(context))

    def test_a_value_comes_back_as_it_was(self) -> None:
        for number, value in enumerate(self.values):
            self.store(value, self.output(step=f"step_{number}"))
            loaded = self.load(self.output(step=f"step_{number}"))
            assert self.same(value, loaded), f"{value!r} came back as {loaded!r}"

    def test_a_value_is_loaded_as_often_as_it_is_needed(self) -> None:
        value = self.values[0]
        self.store(value, self.output())
        assert all(self.same(value, self.load(self.output())) for _ in range(3))

    def test_a_second_attempt_replaces_what_the_first_has_stored(self) -> None:
        first, second = self.values[:2]
        self.store(first, self.output(attempt=1))
        self.store(second, self.output(attempt=2))
        assert self.same(second, self.load(self.output(attempt=2)))

    def test_outputs_steps_and_mapping_keys_do_not_mix(self) -> None:
        first, second = self.values[:2]
        for one, other in (
            (self.output(name="left"), self.output(name="right")),
            (self.output(step="one"), self.output(step="two")),
            (self.output(step="many", mapping_key="a"), self.output(step="many", mapping_key="b")),
            (self.output(step="each[a]", partition="a"), self.output(step="each[b]", partition="b")),
        ):
            self.store(first, one)
            self.store(second, other)
            assert self.same(first, self.load(one)), f"{one.identifier()} has the value of {other.identifier()}"
            assert self.same(second, self.load(other))

    def test_a_run_never_reads_the_value_of_another_run(self) -> None:
        """Either each run has its own, or reading what another run has replaced is an error."""
        first, second = self.values[:2]
        self.store(first, self.output(_RUN))
        self.store(second, self.output(_LATER_RUN))
        assert self.same(second, self.load(self.output(_LATER_RUN)))
        try:
            loaded = self.load(self.output(_RUN))
        except Exception:
            return
        assert self.same(first, loaded), "a run read the value that another run has stored"

    def test_a_value_that_was_never_stored_is_an_error(self) -> None:
        try:
            loaded = self.load(self.output(step="never_stored"))
        except Exception:
            return
        raise AssertionError(f"loading a value that was never stored gave {loaded!r}")

    def test_another_process_reads_what_was_stored(self) -> None:
        if not self.is_shared:
            return
        value = self.values[0]
        self.store(value, self.output())
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writing, pickle.dumps(self.same(value, self.load(self.output()))))
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        assert said, "another process could not load the value"
        assert pickle.loads(said), "another process loaded another value"
