"""Steps that never run: a branch was not taken, or something they need failed."""

import pytest

from tests.engine.lives import Life, plan

BRANCH = {"outputs": ("good", "bad"), "optional": ("good", "bad")}


def test_a_step_is_skipped_when_its_input_was_not_produced():
    life = Life(plan(split=BRANCH, on_good={"one": "split.good"}, on_bad={"one": "split.bad"})).settle()
    life.produce("split", {"good": None}).settle().succeed("on_good").settle()
    assert life.states()["on_bad"] == "SKIPPED"
    assert life.told[-1] == "finish SUCCESS"


def test_skipping_goes_on_downstream():
    life = Life(plan(split=BRANCH, a={"one": "split.bad"}, b={"one": "a"})).settle()
    life.produce("split", {"good": None}).settle()
    assert (life.states()["a"], life.states()["b"]) == ("SKIPPED", "SKIPPED")


@pytest.mark.parametrize(
    ("produced", "state", "values"),
    [
        pytest.param({"good": None}, "RUNNING", ["good"], id="one of two: runs with what there is"),
        pytest.param({"bad": None, "good": None}, "RUNNING", ["good", "bad"], id="both, in the order they were wired"),
        pytest.param({}, "SKIPPED", [], id="none: skipped"),
    ],
)
def test_a_list_input_takes_the_values_that_exist(produced, state, values):
    life = Life(plan(split=BRANCH, join={"many": ("split.good", "split.bad")})).settle()
    life.produce("split", produced).settle()
    step = life.run.network.steps["join"]
    assert str(step.state) == state
    assert [reference.output for reference in step.sources_of_input(0)] == values


@pytest.mark.parametrize(
    ("produced", "state"),
    [
        pytest.param({"good": None}, "RUNNING", id="one branch was taken"),
        pytest.param({}, "SKIPPED", id="none was"),
    ],
)
def test_a_step_after_branches_runs_when_any_was_taken(produced, state):
    life = Life(plan(split=BRANCH, cleanup={"after": ["split.good", "split.bad"]})).settle()
    life.produce("split", produced).settle()
    assert life.states()["cleanup"] == state


def test_a_failed_step_abandons_all_that_need_it_and_nothing_else():
    life = Life(plan(a={}, b={"one": "a"}, c={"one": "b"}, other={})).settle()
    life.fail("a").settle().succeed("other").settle()
    assert life.states() == {"a": "FAILURE", "b": "ABANDONED", "c": "ABANDONED", "other": "SUCCESS"}
    assert life.told[-1] == "finish FAILURE"
    assert life.run.reason == "step a failed"


def test_a_step_is_abandoned_as_soon_as_one_of_its_sources_failed():
    life = Life(plan(a={}, b={}, c={"one": ("a", "b")})).settle().fail("a").settle()
    assert life.states()["c"] == "ABANDONED"
    assert life.states()["b"] == "RUNNING"


def test_failure_outweighs_a_missing_value():
    life = Life(plan(split=BRANCH, bad={}, join={"one": ("split.good", "bad")})).settle()
    life.fail("bad").settle().produce("split", {}).settle()
    assert life.states()["join"] == "ABANDONED"


def test_the_reason_of_a_skip_names_the_input_and_the_output():
    life = Life(plan(split=BRANCH, a={"one": "split.bad"})).settle().produce("split", {}).settle()
    assert life.journal[-2].reason == "input 'one_0' has no value: split.bad was not produced"


@pytest.mark.parametrize(
    ("sources", "said"),
    [(2, "split.o0, split.o1 were"), (3, "split.o0, split.o1, split.o2 were"), (5, "split.o2 and 2 more were")],
)
def test_the_reason_of_a_skip_counts_the_outputs_that_it_does_not_name(sources, said):
    names = tuple(f"o{n}" for n in range(sources))
    split = {"outputs": (*names, "kept"), "optional": (*names, "kept")}
    life = Life(plan(split=split, join={"many": tuple(f"split.{name}" for name in names)})).settle()
    life.produce("split", {"kept": None}).settle()
    assert f"{said} not produced" in life.journal[-2].reason
