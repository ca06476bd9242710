"""Values kept in memory: as they are, for one process, for as long as the run is held."""

import pytest

from orchestrator import InputContext, OutputContext, memory_io_manager
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.memory import MemoryIOManager, forget_run


@pytest.fixture
def manager():
    yield MemoryIOManager()
    forget_run("test")


def test_a_value_is_the_very_object_that_was_stored(manager):
    value = object()
    manager.handle_output(OutputContext(), value)
    assert MemoryIOManager().load_input(InputContext(OutputContext())) is value


def test_values_that_no_file_could_hold_are_fine(manager):
    manager.handle_output(OutputContext(), lambda: 3)
    assert manager.load_input(InputContext(OutputContext()))() == 3


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
    assert memory_io_manager.in_process_only
