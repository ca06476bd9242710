"""Continuing an earlier run: what is taken from it, and what runs again."""

import pytest

from orchestrator.engine.reuse import finished_before, reused_steps
from orchestrator.events import StepReused
from tests.engine.lives import START, Life, plan, planned

ABCD = {"a": {}, "b": {"one": "a"}, "c": {"one": "b"}, "d": {}}
FILES = {
    "files": {"dynamic": ("result",)},
    "load": {"over": "files.result", "one": "files"},
    "clean": {"over": "files.result", "one": "load"},
    "total": {"all": "clean"},
}


def lookup_in(life):
    def lookup(step):
        found = life.run.network.steps.get(step)
        return (found.run_id, found.outputs) if found is not None and found.outputs else None

    return lookup


def from_failure(written, parent):
    again = plan(**written)
    reused = reused_steps(again, lookup_in(parent), finished_before(parent.run), now=START)
    return reused, Life(again).tell(*reused).settle()


def test_only_what_did_not_succeed_and_what_depends_on_it_runs_again():
    parent = Life(plan(**ABCD)).settle().succeed("a").succeed("d").settle().fail("b").settle()
    reused, life = from_failure(ABCD, parent)
    assert [event.step for event in reused] == ["a", "d"]
    assert life.told == ["launch b/1"]
    life.succeed("b").settle().succeed("c").settle()
    assert life.told[-1] == "finish SUCCESS"
    assert life.states() == {"a": "REUSED", "b": "SUCCESS", "c": "SUCCESS", "d": "REUSED"}


def test_the_values_of_reused_steps_come_from_the_run_that_made_them():
    parent = Life(plan(**ABCD)).settle().succeed("a").succeed("d").settle().fail("b").settle()
    _, life = from_failure(ABCD, parent)
    (reference,) = life.run.network.steps["b"].sources_of_input(0)
    assert reference.run_id == "run"


@pytest.mark.parametrize("how", ["interrupted while running", "never began"])
def test_what_was_interrupted_or_never_began_runs_again(how):
    parent = Life(plan(a={}, b={}), room=2 if how == "interrupted while running" else 1).settle().succeed("a")
    if how == "interrupted while running":
        parent.settle()
    _, life = from_failure({"a": {}, "b": {}}, parent)
    assert life.told == ["launch b/1"]


def test_a_step_that_is_new_in_the_code_runs():
    parent = Life(plan(a={})).settle().succeed("a").settle()
    _, life = from_failure({"a": {}, "new": {"one": "a"}}, parent)
    assert life.told == ["launch new/1"]


def test_a_skipped_step_is_decided_anew_from_the_outputs_that_are_reused():
    written = {
        "split": {"outputs": ("good", "bad"), "optional": ("good", "bad")},
        "on_bad": {"one": "split.bad"},
        "on_good": {"one": "split.good"},
    }
    parent = Life(plan(**written)).settle().produce("split", {"good": None}).settle().fail("on_good").settle()
    _, life = from_failure(written, parent)
    assert life.told == ["step_skipped on_bad", "launch on_good/1"]


def test_a_step_that_ran_beside_a_skipped_one_is_reused():
    written = {
        "split": {"outputs": ("good", "bad"), "optional": ("good", "bad")},
        "on_bad": {"one": "split.bad"},
        "join": {"many": ("split.good", "on_bad")},
        "end": {"one": "join"},
    }
    parent = Life(plan(**written)).settle().produce("split", {"good": None}).settle()
    parent.succeed("join").settle().fail("end").settle()
    reused, life = from_failure(written, parent)
    assert [event.step for event in reused] == ["split", "join"]
    assert life.told == ["step_skipped on_bad", "launch end/1"]


def test_only_the_failed_keys_of_a_mapping_run_again():
    parent = Life(plan(**FILES)).settle().succeed("files", result=["a", "b"]).settle()
    parent.succeed("load[a]").succeed("load[b]").settle().succeed("clean[a]").fail("clean[b]").settle()
    reused, life = from_failure(FILES, parent)
    assert [event.step for event in reused] == ["files", "load[a]", "load[b]", "clean[a]"]
    assert life.told == ["launch clean[b]/1"]
    life.succeed("clean[b]").settle()
    assert life.told[-1] == "launch total/1"


def test_when_the_producer_of_the_keys_runs_again_everything_mapped_does():
    parent = Life(plan(**FILES)).settle().succeed("files", result=["a"]).settle()
    parent.succeed("load[a]").settle().succeed("clean[a]").settle().fail("total").settle()
    changed = {**FILES, "first": {}, "files": {"dynamic": ("result",), "one": "first"}}
    ordered = {name: changed[name] for name in ("first", "files", "load", "clean", "total")}
    reused, life = from_failure(ordered, parent)
    assert reused == []
    assert life.told == ["launch first/1"]


def selected_only(written, name):
    """The plan of a selection: the step itself, and those whose outputs it needs."""
    whole = plan(**written)
    import msgspec

    steps = tuple(msgspec.structs.replace(step, selected=step.node == name) for step in whole.steps)
    bare = tuple(step if step.selected else msgspec.structs.replace(step, inputs=(), after=()) for step in steps)
    return msgspec.structs.replace(whole, steps=bare)


def test_a_selected_step_takes_its_inputs_from_the_run_that_is_continued():
    parent = Life(plan(**ABCD)).settle().succeed("a").succeed("d").settle().succeed("b").settle()
    chosen = selected_only({"a": {}, "b": {"one": "a"}}, "b")
    reused = reused_steps(chosen, lookup_in(parent), lambda step: False, now=START)
    assert reused == [StepReused(at=START, step="a", outputs={"result": None}, run_id="run")]
    assert Life(chosen).tell(*reused).settle().told == ["launch b/1"]


def test_without_an_earlier_run_a_selected_step_takes_what_the_io_manager_finds():
    chosen = selected_only({"a": {}, "b": {"one": "a"}}, "b")
    reused = reused_steps(chosen, lambda step: None, lambda step: False, now=START)
    assert reused == [StepReused(at=START, step="a", outputs={"result": None}, run_id=None)]
    life = Life(chosen).tell(*reused).settle().succeed("b").settle()
    assert life.told[-1] == "finish SUCCESS"


def test_a_lookup_is_asked_once_for_each_step():
    asked = []

    def lookup(step):
        asked.append(step)

    steps = {}
    for index in range(50):
        name = f"s{index}"
        steps[name] = planned(name, {"one": f"s{index - 1}"} if index else {}, steps)
    whole = plan(**{name: {} for name in steps})
    reused_steps(whole, lookup, lambda step: True, now=START)
    assert len(asked) == len(set(asked)) == 50
