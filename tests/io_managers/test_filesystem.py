"""The default IO manager: one pickle file a value."""

import pickle
import stat
import threading
from pathlib import Path

import pytest

from orchestrator import (
    InputContext,
    Mode,
    Out,
    Output,
    OutputContext,
    filesystem_io_manager,
    pipeline,
    step,
)
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.filesystem import FilesystemIOManager
from tests.definitions.short import double, files, load, one, run, split, why


def below(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def stored(tmp_path, *steps, wires=None):
    """A run whose values are kept below `tmp_path`."""

    @pipeline(modes=[Mode("m", resources={"io_manager": filesystem_io_manager})])
    def kept():
        for each in steps:
            each()
        if wires:
            wires()

    return kept.execute_in_process(config={"resources": {"io_manager": {"config": {"base_dir": str(tmp_path)}}}})


def test_a_value_lies_at_run_step_and_output(tmp_path):
    result = stored(tmp_path, one)
    path = tmp_path / result.run_id / "one" / "result"
    assert below(tmp_path) == [str(path.relative_to(tmp_path))]
    assert pickle.loads(path.read_bytes()) == 1


def test_each_output_and_each_key_has_a_file_of_its_own(tmp_path):
    @step(outputs={"a": Out(), "b": Out()})
    def both():
        yield Output(1, "a")
        yield Output(2, "b")

    @pipeline
    def inner():
        both()

    def wires():
        inner()
        files().map(split).map(load)

    result = stored(tmp_path, wires=wires)
    assert [path.removeprefix(f"{result.run_id}/") for path in below(tmp_path)] == [
        *("files/result/a", "files/result/b"),
        *("inner.both/a", "inner.both/b"),
        *("load[a][0]/result", "load[a][1]/result", "load[b][0]/result", "load[b][1]/result"),
        *("split[a]/result/0", "split[a]/result/1", "split[b]/result/0", "split[b]/result/1"),
    ]


def test_values_come_back_as_they_were(tmp_path):
    result = stored(tmp_path, wires=lambda: double(one()))
    assert result.output("double") == 2


def test_a_second_run_leaves_the_first_ones_values_alone(tmp_path):
    first, second = stored(tmp_path, one), stored(tmp_path, one)
    assert below(tmp_path) == sorted(f"{run.run_id}/one/result" for run in (first, second))
    assert first.output("one") == 1


def test_a_value_with_a_version_lies_by_that(tmp_path):
    manager = FilesystemIOManager(tmp_path)
    context = OutputContext(run_id="r", step="load", version="v1")
    assert not manager.has_output(context)
    manager.handle_output(context, 3)
    assert below(tmp_path) == ["versions/load/result/v1"]
    assert manager.has_output(context)
    assert not manager.has_output(OutputContext(run_id="r", step="load", version="v2"))


def test_a_value_stored_again_is_replaced(tmp_path):
    manager = FilesystemIOManager(tmp_path)
    for value in (1, 2):
        manager.handle_output(OutputContext(step="it"), value)
    assert manager.load_input(InputContext(OutputContext(step="it"))) == 2


@pytest.mark.parametrize("value", [None, [], {}, 0, "", b"bytes", {"deep": [1, (2,)]}], ids=repr)
def test_any_plain_value_can_be_stored(tmp_path, value):
    manager = FilesystemIOManager(tmp_path)
    manager.handle_output(OutputContext(), value)
    assert manager.load_input(InputContext(OutputContext())) == value


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("I stay here")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        pytest.param(lambda: 1, "a function, cannot be pickled:", id="lambda"),
        pytest.param({"lock": threading.Lock()}, "a dict, cannot be pickled: cannot pickle '_thread.lock'", id="lock"),
        pytest.param(Unpicklable(), "an Unpicklable, cannot be pickled: I stay here", id="own refusal"),
        pytest.param([1, Unpicklable()], "a list, cannot be pickled: I stay here", id="inside a list"),
    ],
)
def test_a_value_that_cannot_be_pickled_is_named_and_leaves_no_file(tmp_path, value, what):
    @step
    def gives():
        return value

    message = why(stored(tmp_path, gives), "gives")
    assert message.startswith(f"Failure: Output 'result' of step 'gives', {what}")
    assert "Return plain data, or give the output another io_manager." in message
    assert below(tmp_path) == []


def test_a_value_that_cannot_be_pickled_leaves_the_one_before_in_place(tmp_path):
    manager = FilesystemIOManager(tmp_path)
    manager.handle_output(OutputContext(), 1)
    with pytest.raises(Failure):
        manager.handle_output(OutputContext(), Unpicklable())
    assert manager.load_input(InputContext(OutputContext())) == 1


def test_a_value_that_is_gone_says_where_it_should_be(tmp_path):
    manager = FilesystemIOManager(tmp_path)
    with pytest.raises(Failure) as caught:
        manager.load_input(InputContext(OutputContext(run_id="r", step="load")))
    assert str(caught.value) == (
        "There is no stored value of output 'result' of step 'load' from run r:"
        f" {tmp_path}/r/load/result does not exist. Run that step again."
    )


def test_a_value_of_no_known_run_says_how_to_name_one(tmp_path):
    with pytest.raises(Failure) as caught:
        FilesystemIOManager(tmp_path).load_input(InputContext(OutputContext(run_id=None, step="load")))
    assert str(caught.value) == (
        "Cannot tell which stored value to use: no run is known to have produced load.result; name one with"
        " --rerun RUN."
    )


def test_outside_a_workspace_a_directory_must_be_configured():
    message = why(run(one, resources={"io_manager": filesystem_io_manager}), "one")
    assert "filesystem_io_manager has nowhere to keep values outside a workspace" in message
    assert "configure its base_dir, or use memory_io_manager" in message


def test_in_a_workspace_values_are_private_unless_a_directory_is_chosen(tmp_path):
    FilesystemIOManager().handle_output(OutputContext(storage_dir=str(tmp_path)), 1)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_relative_directory_is_relative_to_where_the_step_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FilesystemIOManager("values").handle_output(OutputContext(), 1)
    assert Path("values/test/test/result").is_file()
