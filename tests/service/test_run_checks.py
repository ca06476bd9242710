"""Runs are refused before they exist when their executor could not carry them out."""

import pytest

from orchestrator import IOManager, Mode, io_manager, memory_io_manager, pipeline, step
from orchestrator.errors import ConfigError, DefinitionError
from orchestrator.executors import registry
from orchestrator.executors.base import Capabilities
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.service.run_checks import check_planned


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


class Spread:
    """Executors of other packages, by how far apart their attempts run."""

    class process:
        capabilities = Capabilities(spread="process")

    class machine:
        capabilities = Capabilities(spread="machine")

    class anywhere:
        capabilities = Capabilities(spread="anywhere")


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
def test_a_manager_must_reach_as_far_as_the_executor_spreads_steps(reach, spread, monkeypatch):
    monkeypatch.setattr(registry, "_found", lambda name: getattr(Spread, name))
    run = planned(reach, spread)
    if FITS[reach, spread]:
        check_planned(run)
        return
    with pytest.raises(ConfigError) as caught:
        check_planned(run)
    assert f"Mode {reach!r}" in str(caught.value)
    assert "outputs of step 'one'" in str(caught.value)
    assert MANAGERS[reach].name in str(caught.value)
    assert f"the {spread!r} executor" in str(caught.value)


def test_values_in_memory_are_refused_where_each_step_has_its_own_process():
    with pytest.raises(ConfigError) as caught:
        check_planned(planned("process", "subprocess"))
    assert str(caught.value) == (
        "Mode 'process' keeps the outputs of step 'one' in memory (memory_io_manager), and the 'subprocess' executor"
        " runs every step in a process of its own.\n"
        "Use --executor in_process, or a mode with an IO manager that stores values."
    )
    check_planned(planned("process", "in_process"))


def test_an_executor_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="There is no executor 'subproces'"):
        check_planned(planned("machine", "subproces"))


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
