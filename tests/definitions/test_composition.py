"""Wiring: what calling steps inside a pipeline function builds."""

import pytest

from orchestrator import DynamicOut, DynamicOutput, Out, Output, failure_hook, pipeline, step, success_hook
from orchestrator.model.states import StepState
from tests.definitions.short import add, double, files, load, one, sort_out, states, total


def keys(pipeline):
    return list(pipeline.graph.nodes)


def test_calling_a_step_places_it_and_hands_on_its_output():
    @pipeline
    def chain():
        double(double(one()))

    assert keys(chain) == ["one", "double", "double_2"]
    assert chain.execute_in_process().output("double_2") == 4


def test_inputs_are_given_by_place_or_by_name():
    @pipeline
    def wired():
        add(b=double(one()), a=one())

    assert wired.execute_in_process().output("add") == 3


def test_an_input_left_out_keeps_its_default():
    @pipeline
    def wired():
        add(one())

    assert wired.execute_in_process().output("add") == 11


def test_one_output_may_go_to_several_inputs():
    @pipeline
    def wired():
        same = one()
        total([add(same, same), same, same])

    assert wired.execute_in_process().output("total") == 4


def test_a_keyword_only_parameter_is_an_input_like_any_other():
    @step
    def power(base: int, *, exponent: int) -> int:
        return base**exponent

    @pipeline
    def wired():
        power(double(one()), exponent=add(one()))

    assert wired.execute_in_process().output("power") == 2048


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        pytest.param([None, None, None], ["one", "one_2", "one_3"], id="numbered from 2"),
        pytest.param(["one_2", None, None], ["one_2", "one", "one_3"], id="a number that is taken is passed over"),
        pytest.param([None, "uno", None], ["one", "uno", "one_2"], id="an alias takes no number"),
        pytest.param([None, None, "one_4", None, None], ["one", "one_2", "one_4", "one_3", "one_5"], id="and so on"),
    ],
)
def test_a_step_used_again_gets_a_number(aliases, expected):
    @pipeline
    def several():
        for alias in aliases:
            (one.alias(alias) if alias else one)()

    assert keys(several) == expected


# --- fan-in ---


def test_a_list_of_outputs_is_one_list_input_in_the_order_written():
    @step
    def as_it_is(ns: list[int]) -> list[int]:
        return ns

    @pipeline
    def fan_in():
        first, second = one(), double(one())
        as_it_is([second, first, second])

    assert fan_in.execute_in_process().output("as_it_is") == [2, 1, 2]


def test_a_tuple_of_outputs_is_a_list_too():
    @pipeline
    def fan_in():
        total((one(), one()))

    assert fan_in.execute_in_process().output("total") == 2


def test_a_list_of_nothing_is_an_empty_list():
    @pipeline
    def fan_in():
        total([])

    assert fan_in.execute_in_process().output("total") == 0


def test_members_of_a_list_that_were_not_produced_are_dropped():
    @pipeline
    def fan_in():
        branches = sort_out()
        total([branches.even, branches.odd, one()])

    assert fan_in.execute_in_process().output("total") == 2


def test_a_step_is_skipped_when_all_members_of_a_list_are_missing():
    @pipeline
    def fan_in():
        missing = sort_out().even
        double(total([missing, double(missing)]))

    result = fan_in.execute_in_process()
    assert result.success
    assert [result.state(key) for key in ("total", "double_2")] == [StepState.SKIPPED] * 2


# --- order without data ---


def recorder(order):
    @step
    def mark(context) -> None:
        order.append(context.step)

    return mark


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda first: first, id="an output"),
        pytest.param(lambda first: [first], id="a list"),
        pytest.param(lambda first: (first, [first]), id="lists in lists"),
        pytest.param(lambda first: {first}, id="a set"),
    ],
)
def test_after_orders_steps_without_handing_on_a_value(given):
    order = []
    mark = recorder(order)

    @pipeline
    def ordered():
        first = mark.alias("z_first")()
        mark.alias("a_second")(after=given(first))

    ordered.execute_in_process()
    assert order == ["z_first", "a_second"]


def test_after_takes_all_outputs_of_a_step_at_once():
    @pipeline
    def ordered():
        one(after=sort_out())

    assert ordered.execute_in_process().state("one") is StepState.SUCCESS


def test_after_a_dynamic_output_waits_for_every_key():
    order = []
    mark = recorder(order)

    @step
    def slow(file: str) -> str:
        order.append(file)
        return file

    @pipeline
    def ordered():
        mark(after=files().map(slow))

    ordered.execute_in_process()
    assert order == ["a", "b", "mark"]


def test_a_step_after_a_branch_not_taken_is_skipped_like_one_that_needs_its_value():
    @pipeline
    def ordered():
        branches = sort_out()
        one(after=branches.even)
        one.alias("either")(after=[branches.even, branches.odd])

    ends = states(ordered.execute_in_process())
    assert (ends["one"], ends["either"]) == (StepState.SKIPPED, StepState.SUCCESS)


def test_a_failed_step_keeps_what_comes_after_it_from_running():
    @step
    def fails() -> None:
        raise ValueError("no")

    @pipeline
    def ordered():
        one(after=fails())

    assert ordered.execute_in_process().state("one") is StepState.ABANDONED


def test_a_parameter_called_after_is_an_input():
    @step
    def shout(after: int) -> str:
        return f"{after}!"

    @pipeline
    def wired():
        shout(after=one())

    assert wired.execute_in_process().output("shout") == "1!"


# --- tags and hooks ---


@success_hook
def celebrate(context): ...


@failure_hook
def alarm(context): ...


def test_hooks_add_up_from_the_step_the_pipeline_and_the_use():
    @step(hooks={celebrate})
    def hooked(): ...

    @success_hook
    def of_the_use(context): ...

    @pipeline(hooks={alarm})
    def outer():
        hooked.with_hooks([of_the_use])()
        hooked()

    nodes = outer.graph.nodes
    assert nodes["hooked"].hooks == (celebrate, alarm, of_the_use)
    assert nodes["hooked_2"].hooks == (celebrate, alarm)


def test_the_same_hook_from_two_sides_is_called_once():
    @step(hooks={celebrate})
    def hooked(): ...

    @pipeline(hooks={celebrate})
    def outer():
        hooked()

    assert outer.graph.nodes["hooked"].hooks == (celebrate,)


def test_outputs_of_a_step_are_unpacked_or_taken_by_name():
    @pipeline
    def wired():
        _, odd = sort_out()
        double(odd)
        add(sort_out().odd)
        load(sort_out().even)

    result = wired.execute_in_process()
    assert (result.output("double"), result.output("add")) == (2, 11)
    assert result.state("load") is StepState.SKIPPED


def test_outputs_may_be_called_like_the_methods_of_a_tuple():
    @step(outputs={"count": Out(int), "index": Out(int), "names": Out(int)})
    def awkward():
        yield Output(1, "count")
        yield Output(2, "index")
        yield Output(3, "names")

    @pipeline
    def wired():
        out = awkward()
        total([out.count, out.index, out.names])

    assert wired.execute_in_process().output("total") == 6


@pytest.mark.parametrize("name", ["a", "result", "count", "output"])
def test_the_only_output_can_be_named(name):
    load = step(name="load", outputs={name: Out()})(lambda: 3)
    show = step(name="show")(lambda value: str(value))

    @pipeline
    def named():
        show(getattr(load(), name))

    assert named.execute_in_process().output("show") == "3"


def test_the_only_output_can_be_named_after_a_map():
    files = step(name="files", outputs={"path": DynamicOut()})(lambda: [DynamicOutput(1, key="k", name="path")])
    load = step(name="load", outputs={"row": Out()})(lambda path: path + 1)
    total = step(name="total")(lambda rows: sum(rows))

    @pipeline
    def named():
        total(files().path.map(lambda one: load(one).row).row.collect())

    assert named.execute_in_process().output("total") == 2


def test_another_name_than_that_of_the_only_output_is_refused():
    load = step(name="load", outputs={"a": Out()})(lambda: 3)

    def wrong():
        load().b

    with pytest.raises(AttributeError, match=r"the output load\.a has no 'b'"):
        pipeline(wrong)
