"""Values kept in memory: as they are, for one process, for as long as the run is held."""

import io

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from orchestrator import (
    InputContext,
    Mode,
    Out,
    Output,
    OutputContext,
    filesystem_io_manager,
    memory_io_manager,
    pipeline,
    step,
)
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.memory import MemoryIOManager, forget_run, unshared


@pytest.fixture
def manager():
    yield MemoryIOManager()
    forget_run("test")


def test_any_other_object_is_the_very_one_that_was_stored(manager):
    value = object()
    manager.handle_output(OutputContext(), value)
    assert MemoryIOManager().load_input(InputContext(OutputContext())) is value


def test_values_that_no_file_could_hold_are_fine(manager):
    manager.handle_output(OutputContext(), lambda: 3)
    assert manager.load_input(InputContext(OutputContext()))() == 3


@pytest.mark.parametrize(
    "value",
    [
        map(str, [1]),
        (n for n in [1]),
        iter([1]),
        pa.table({"a": [1]}).to_reader(),
        io.StringIO("a line"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_can_be_read_only_once_is_refused(manager, value):
    with pytest.raises(Failure, match=r"Output 'result' of step '\w+', an? \w+, can be read only once"):
        manager.handle_output(OutputContext(), value)


def test_each_key_has_a_value_of_its_own(manager):
    for key in "ab":
        manager.handle_output(OutputContext(mapping_key=key), key)
    assert manager.load_input(InputContext(OutputContext(mapping_key="a"))) == "a"


def test_values_of_a_run_are_let_go_together(manager):
    manager.handle_output(OutputContext(run_id="other"), 1)
    manager.handle_output(OutputContext(), 2)
    forget_run("test")
    assert manager.load_input(InputContext(OutputContext(run_id="other"))) == 1
    with pytest.raises(Failure, match="was kept in memory and is gone"):
        manager.load_input(InputContext(OutputContext()))
    forget_run("other")


def test_a_value_of_a_step_that_did_not_run_says_to_select_that_step(manager):
    with pytest.raises(Failure, match=r"Step 'load' is not part of this run.*Select it as well: '\*report'"):
        manager.load_input(InputContext(OutputContext(run_id=None, step="load"), step="report"))


def test_it_is_for_one_process_only():
    assert memory_io_manager.reach == "process"


# --- what a step does to its input in place ---


def changed_in_place(value):
    if isinstance(value, pd.DataFrame):
        value["n"] = 0
    elif isinstance(value, pl.DataFrame):
        value.insert_column(0, pl.Series("m", [0]))
    elif isinstance(value, (list, bytearray)):
        value.append(0)
    elif isinstance(value, dict):
        value["n"].append(0)
    elif isinstance(value, tuple):
        value[0].append(0)
    elif isinstance(value, set):
        value.add(0)
    else:
        value[0] = 0


MUTABLE = {
    "a list": lambda: [1],
    "a dictionary of lists": lambda: {"n": [1]},
    "a tuple of lists": lambda: ([1], 2),
    "a set": lambda: {1},
    "bytes": lambda: bytearray(b"1"),
    "an array": lambda: np.array([1]),
    "a series": lambda: pd.Series([1]),
    "a pandas frame": lambda: pd.DataFrame({"n": [1]}),
    "a polars frame": lambda: pl.DataFrame({"n": [1]}),
}


@pytest.mark.parametrize("mode", ["memory", "files"])
@pytest.mark.parametrize("name", MUTABLE)
def test_what_one_step_does_to_a_value_no_other_step_sees(tmp_path, name, mode):
    @step(outputs={"before": Out(), "after": Out()})
    def gives():
        value = MUTABLE[name]()
        yield Output(value, "before")
        changed_in_place(value)
        yield Output(value, "after")

    @step
    def changes(value) -> None:
        changed_in_place(value)

    @step
    def looks(value) -> str:
        return repr(value)

    @pipeline(
        modes=[
            Mode("memory", resources={"io_manager": memory_io_manager}),
            Mode("files", resources={"io_manager": filesystem_io_manager}),
        ]
    )
    def shared():
        before, after = gives()
        looks(before, after=changes(before))
        looks.alias("looks_after")(after)

    config = {"resources": {"io_manager": {"config": {"base_dir": str(tmp_path)}}}} if mode == "files" else {}
    result = shared.execute_in_process(mode=mode, config=config)
    untouched, touched = MUTABLE[name](), MUTABLE[name]()
    changed_in_place(touched)
    assert result.output("looks") == repr(untouched)
    assert result.output("looks_after") == repr(touched)


def test_a_value_that_holds_itself_is_copied_once():
    value = [1]
    value.append(value)
    copy = unshared(value)
    assert copy is not value
    assert copy[1] is copy


def test_a_value_that_is_held_twice_is_still_one_value():
    inner = [1]
    first, second = unshared([inner, inner])
    assert first is second


@pytest.mark.parametrize(
    "value", [(1, "a"), "text", 3, None, object(), len, (object(),)], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_changed_is_not_copied(value):
    assert unshared(value) is value
