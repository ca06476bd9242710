"""Runs are refused before they exist when their executor could not carry them out."""

from pathlib import Path

import pytest

from orchestrator import IOManager, Mode, io_manager, memory_io_manager, pipeline, step
from orchestrator.attempts.memory import MemoryChannels
from orchestrator.code_locations.pool import LocationPool
from orchestrator.errors import ConfigError, DefinitionError
from orchestrator.executors.base import Capabilities, ExecutorContext
from orchestrator.executors.registry import make_executor
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.service.run_checks import check_planned
from orchestrator.settings import Settings


class Anything(IOManager):
    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


@io_manager(reach="anywhere")
def bucket():
    return Anything()


@io_manager
def disk():
    return Anything()


@pytest.fixture
def context():
    return ExecutorContext(LocationPool([]), MemoryChannels(), Settings(path=Path(".orchestrator.yaml")))


@step
def one() -> int:
    return 1


@step
def double(x: int) -> int:
    return 2 * x


MANAGERS = {"process": memory_io_manager, "machine": disk, "anywhere": bucket}


@pipeline(modes=[Mode(name, resources={"io_manager": manager}) for name, manager in MANAGERS.items()])
def doubled():
    double(one())


@pipeline
def plain():
    double(one())


def check(run, **capabilities):
    """Checks a run for an executor that declares this."""
    check_planned(run, Capabilities(**capabilities))


def planned(mode, executor):
    return plan_run(doubled, PlanRequest(pipeline="doubled", mode=mode, executor=executor), {})


FITS = {
    ("process", "process"): True,
    ("process", "machine"): False,
    ("process", "anywhere"): False,
    ("machine", "process"): True,
    ("machine", "machine"): True,
    ("machine", "anywhere"): False,
    ("anywhere", "process"): True,
    ("anywhere", "machine"): True,
    ("anywhere", "anywhere"): True,
}


@pytest.mark.parametrize(("reach", "spread"), FITS)
def test_a_manager_must_reach_as_far_as_the_executor_spreads_steps(reach, spread):
    run = planned(reach, spread)
    if FITS[reach, spread]:
        check(run, spread=spread)
        return
    with pytest.raises(ConfigError) as caught:
        check(run, spread=spread)
    assert f"Mode {reach!r}" in str(caught.value)
    assert "outputs of step 'one'" in str(caught.value)
    assert MANAGERS[reach].name in str(caught.value)
    assert f"the {spread!r} executor" in str(caught.value)


def test_values_in_memory_are_refused_where_each_step_has_its_own_process(context):
    with pytest.raises(ConfigError) as caught:
        check_planned(planned("process", "subprocess"), make_executor("subprocess", context).capabilities)
    assert str(caught.value) == (
        "Mode 'process' keeps the outputs of step 'one' in memory (memory_io_manager), and the 'subprocess' executor"
        " runs every step in a process of its own.\n"
        "Use --executor in_process, or a mode with an IO manager that stores values."
    )
    check_planned(planned("process", "in_process"), make_executor("in_process", context).capabilities)


@pytest.mark.parametrize("storage", ["machine", "anywhere"])
def test_a_manager_in_the_executors_storage_reaches_as_far_as_that(storage):
    run = plan_run(plain, PlanRequest(pipeline="plain", executor="far"), {})
    if storage == "anywhere":
        check(run, spread="anywhere", storage=storage)
        return
    with pytest.raises(ConfigError, match="filesystem_io_manager"):
        check(run, spread="anywhere", storage=storage)


def test_an_executor_that_is_not_there_is_refused(context):
    with pytest.raises(ConfigError, match="There is no executor 'subproces'"):
        make_executor(planned("machine", "subproces").executor, context)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"reach": "everywhere"}, "The reach of IO manager 'mine' is one of anywhere, machine, process"),
        ({"reach": "machine", "in_process_only": True}, "is in_process_only, so its reach cannot be 'machine'"),
    ],
)
def test_a_reach_that_means_nothing_is_refused(options, problem):
    with pytest.raises(DefinitionError, match=problem):

        @io_manager(**options)
        def mine():
            return Anything()


def test_the_older_way_of_saying_that_values_stay_in_the_process_means_the_same():
    @io_manager(in_process_only=True)
    def mine():
        return Anything()

    assert mine.reach == "process"
