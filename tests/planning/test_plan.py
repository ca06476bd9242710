"""From a pipeline to its plan: frozen data that says everything that can be known before the run."""

import msgspec
import pytest

from orchestrator import (
    ConfigError,
    DefinitionError,
    Mode,
    Out,
    Output,
    RetryPolicy,
    memory_io_manager,
    pipeline,
    step,
    success_hook,
)
from orchestrator.model.reach import StoredWithin
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import (
    Inherited,
    PlannedInput,
    PlannedOutput,
    PlanRequest,
    Source,
    decode_plan,
    encode_plan,
    instance_key,
    template_key,
)
from tests.definitions.short import add, double, files, joined, load, one, sort_out, split, total


def plan(pipeline, **request):
    return plan_run(pipeline, PlanRequest(pipeline=pipeline.name, **request), {}).plan


@pipeline
def everything(n=3):
    even, odd = sort_out(one())
    total([even, odd])
    add(n)
    add(one(after=[even, files()]))
    joined(files().map(split).map(load).collect())


def test_steps_are_in_an_order_in_which_they_can_run():
    keys = [step.key for step in plan(everything).steps]
    assert keys == [
        *("one", "sort_out", "total", "add", "files", "one_2", "add_2", "files_2"),
        *("split[?]", "load[?][?]", "joined[?]"),
    ]


def test_each_input_says_where_its_value_comes_from():
    steps = plan(everything).by_node
    assert steps["sort_out"].inputs == (PlannedInput("n", "one", (Source("one", "result"),)),)
    assert steps["total"].inputs == (
        PlannedInput("ns", "list", (Source("sort_out", "even"), Source("sort_out", "odd"))),
    )
    assert steps["add"].inputs == (PlannedInput("a", "default"), PlannedInput("b", "default"))
    assert steps["load"].inputs == (PlannedInput("chunk", "one", (Source("split[?]", "result"),)),)
    assert steps["joined"].inputs == (PlannedInput("texts", "collect", (Source("load[?][?]", "result"),)),)


def test_configured_inputs_are_told_from_defaults():
    config = {"inputs": {"n": 1}, "steps": {"add": {"inputs": {"b": 2}}}}
    assert [given.form for given in plan(everything, config=config).by_node["add"].inputs] == ["config", "config"]


def test_order_without_data_is_kept_with_whether_all_keys_are_waited_for():
    assert plan(everything).by_node["one_2"].after == (
        (Source("sort_out", "even"), False),
        (Source("files", "result"), True),
    )


def test_a_mapped_step_names_the_dynamic_outputs_it_is_mapped_over_outermost_first():
    steps = plan(everything).by_node
    assert steps["split"].scope == ("files_2.result",)
    assert steps["load"].scope == ("files_2.result", "split.result")
    assert steps["joined"].scope == ("files_2.result",)


def test_outputs_say_how_they_are_stored():
    @step(io_manager="lake", outputs={"a": Out(), "b": Out(optional=True, io_manager="other")})
    def stored(): ...

    @step
    def says_nothing() -> None: ...

    @pipeline(modes=[Mode("m", resources={"lake": memory_io_manager, "other": memory_io_manager})])
    def wired():
        stored()
        says_nothing()
        files()

    steps = plan(wired, executor="in_process").by_node
    assert steps["stored"].outputs == (PlannedOutput("a", "lake"), PlannedOutput("b", "other", optional=True))
    assert steps["says_nothing"].outputs == (PlannedOutput("result", ""),)
    assert steps["files"].outputs == (PlannedOutput("result", "io_manager", dynamic=True),)


def test_what_a_step_declares_is_in_the_plan():
    @success_hook
    def celebrate(context): ...

    policy = RetryPolicy(max_retries=2, delay=1.0, backoff="exponential")

    @step(retry=policy, timeout=60, resources={"db"}, tags={"priority": 5}, isolation="spawn", hooks={celebrate})
    def declared(context): ...

    @pipeline(modes=[Mode("m", resources={"db": 1})])
    def wired():
        declared()

    (found,) = plan(wired).steps
    assert (found.retry, found.timeout, found.resources, found.priority) == (policy, 60, ("db",), 5)
    assert (found.isolation, found.hooks, found.tags) == ("spawn", ("celebrate",), {"priority": "5"})


@pytest.mark.parametrize(("tag", "priority"), [("3", 3), (-2, -2), ("high", 0), (None, 0)])
def test_a_priority_that_is_no_number_is_none(tag, priority):
    @pipeline
    def wired():
        one.with_tags({} if tag is None else {"priority": tag})()

    assert plan(wired).steps[0].priority == priority


def test_steps_that_choose_no_isolation_have_that_of_their_location():
    request = PlanRequest(pipeline="everything")
    assert plan_run(everything, request, {}, isolation="spawn").plan.steps[0].isolation == "spawn"
    assert plan(everything).steps[0].isolation == "fork"


def test_a_plan_survives_being_written_down():
    before = plan(everything, config={"execution": {"retries": False}})
    assert decode_plan(encode_plan(before)) == before
    assert not before.retries_enabled


def test_a_plan_cannot_be_changed():
    with pytest.raises(AttributeError):
        plan(everything).mode = "other"


def test_planning_twice_gives_the_same_plan():
    @pipeline
    def wired():
        total([one(), one()])
        one(after={one(), one(), one()})

    assert encode_plan(plan(wired)) == encode_plan(plan(wired))


def test_keys_of_steps():
    assert (template_key("load", 2), instance_key("load", ("a", "0"))) == ("load[?][?]", "load[a][0]")
    assert plan(everything).origin_of("load[a][0]").node == "load"


# --- selection ---


def test_steps_that_do_not_run_are_there_only_for_what_they_provide():
    steps = plan(everything, selection=("total",)).by_node
    assert {node: step.selected for node, step in steps.items()} == {"sort_out": False, "total": True}
    assert steps["sort_out"].inputs == ()


def test_what_a_step_is_mapped_over_is_kept_with_it():
    steps = plan(everything, selection=("load",), inherited=Inherited("default")).by_node
    assert set(steps) == {"files_2", "split", "load"}


def test_a_step_mapped_over_one_that_does_not_run_needs_an_earlier_run():
    with pytest.raises(ConfigError, match=r"Step 'load' is mapped over files_2\.result, and 'files_2' is not selected"):
        plan(everything, selection=("load",))


# --- modes and executors ---


@pipeline(modes=[Mode("test", resources={"io_manager": memory_io_manager}), Mode("prod", executor="kubernetes")])
def two_modes():
    double(one())


def test_the_executor_is_the_callers_else_the_modes_else_the_default():
    def executor(**request):
        return plan_run(two_modes, PlanRequest(pipeline="two_modes", **request), {}).executor

    assert executor(mode="prod") == "kubernetes"
    assert executor(mode="prod", executor="subprocess") == "subprocess"
    assert executor(mode="test", default_executor="in_process") == "in_process"


def test_a_plan_names_the_managers_that_do_not_reach_every_machine_and_a_step_of_each():
    def within(mode):
        return plan_run(two_modes, PlanRequest(pipeline="two_modes", mode=mode), {}).stored_within

    assert within("test") == (StoredWithin("one", "memory_io_manager", "process"),)
    assert within("prod") == (StoredWithin("one", "filesystem_io_manager", "machine", in_storage=True),)


def test_a_step_without_a_value_needs_no_memory():
    @step
    def says_nothing() -> None: ...

    @pipeline(modes=[Mode("test", resources={"io_manager": memory_io_manager})])
    def wired():
        says_nothing()

    assert plan_run(wired, PlanRequest(pipeline="wired"), {}).stored_within == ()


def test_a_mode_must_be_known_and_chosen():
    for mode in (None, "staging"):
        with pytest.raises(DefinitionError):
            plan(two_modes, mode=mode)


def test_a_large_plan_is_plain_json():
    @step(outputs={name: Out(int, optional=True) for name in "abcdef"})
    def wide():
        yield Output(1, "a")

    @pipeline
    def large():
        for _ in range(50):
            double(wide().a)

    raw = msgspec.json.decode(encode_plan(plan(large)))
    assert len(raw["steps"]) == 100
