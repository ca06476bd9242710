"""Continuing an earlier run: what is taken from it, and what runs again."""

import pytest
from msgspec.structs import replace

from orchestrator.engine.reuse import check_keys, finished_before, nearest, reused_steps
from orchestrator.errors import NotFound, NotPossible
from orchestrator.model.events import StepReused
from tests.engine.lives import START, Life, plan, planned

ABCD = {"a": {}, "b": {"one": "a"}, "c": {"one": "b"}, "d": {}}
FILES = {
    "files": {"dynamic": ("result",)},
    "load": {"over": "files.result", "one": "files"},
    "clean": {"over": "files.result", "one": "load"},
    "total": {"all": "clean"},
}


def lookup_in(life):
    return nearest(iter([("run", life.run)]))


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


BRANCH = {
    "split": {"outputs": ("good", "bad"), "optional": ("good", "bad")},
    "on_bad": {"one": "split.bad"},
    "on_good": {"one": "split.good"},
    "join": {"many": ("on_good", "on_bad")},
}


def rerun_of(written, parent, *names):
    whole = plan(**written)
    steps = [replace(step, selected=step.node in names) for step in whole.steps]
    bare = [step if step.selected else replace(step, inputs=(), after=()) for step in steps]
    chosen = replace(whole, steps=tuple(bare))
    reused = reused_steps(chosen, lookup_in(parent), lambda step: False, now=START)
    return Life(chosen).tell(*reused).settle()


def test_a_branch_that_was_not_taken_has_no_value_for_a_step_that_runs_alone():
    parent = Life(plan(**BRANCH)).settle().produce("split", {"good": None}).settle().succeed("on_good").settle()
    life = rerun_of(BRANCH, parent, "join")
    assert [ref.step for ref in life.run.network.steps["join"].sources_of_input(0)] == ["on_good"]


def test_a_step_that_gave_none_of_its_outputs_has_none_for_a_step_that_runs_alone():
    parent = Life(plan(**BRANCH)).settle().produce("split", {}).settle()
    assert rerun_of(BRANCH, parent, "on_good").states()["on_good"] == "SKIPPED"


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("another input", {"one": "a", "all": ()}),
        ("no input", {}),
        ("other outputs", {"one": "first", "outputs": ("result", "more")}),
        ("an output that may be missing", {"one": "first", "optional": ("result",)}),
        ("waits for another", {"one": "first", "after": ["a"]}),
        ("another version", {"one": "first", "version": "2"}),
    ],
)
def test_a_step_that_the_code_wires_otherwise_now_runs_again(name, now):
    before = {"first": {}, "a": {}, "it": {"one": "first", "version": "1"}, "end": {"one": "it"}}
    parent = Life(plan(**before)).settle().succeed("first").succeed("a").settle().succeed("it").settle().fail("end")
    reused, _ = from_failure({**before, "it": {"version": "1", **now}}, parent.settle())
    assert [event.step for event in reused] == ["first", "a"]


def test_a_step_that_is_configured_otherwise_now_runs_again_with_all_after_it():
    parent = Life(plan(**ABCD)).settle().succeed("a").succeed("d").settle().succeed("b").settle().fail("c").settle()
    reused = reused_steps(plan(**ABCD), lookup_in(parent), finished_before(parent.run, ["b"]), now=START)
    assert [event.step for event in reused] == ["a", "d"]


def test_a_memoized_step_is_kept_and_found_by_its_version_again():
    written = {"a": {"version": "1"}, "b": {"one": "a"}, "c": {"one": "b"}}
    parent = Life(plan(**written)).tell(StepReused(at=START, step="a", outputs={"result": None}, memoized=True))
    parent.settle().succeed("b").settle().fail("c").settle()
    reused = reused_steps(plan(**{**written, "a": {}}), lookup_in(parent), finished_before(parent.run), now=START)
    assert [(event.step, event.memoized, event.run_id) for event in reused] == [("a", True, None), ("b", False, "run")]


def test_a_key_that_the_run_before_did_not_have_is_refused():
    parent = Life(plan(**FILES)).settle().succeed("files", result=["a", "b"]).settle()
    whole = plan(**FILES)
    load = replace(whole.steps[1], keys=(("z",),))
    chosen = replace(whole, steps=(replace(whole.steps[0], selected=False), load))
    reused = reused_steps(chosen, lookup_in(parent), lambda step: False, now=START)
    with pytest.raises(NotFound) as caught:
        check_keys(chosen, reused, "R")
    assert str(caught.value) == "There is no step 'load[z]' in run R.\nDid you mean load[b] or load[a]?"


def test_keys_that_no_run_has_made_are_refused():
    parent = Life(plan(**FILES)).settle().fail("files").settle()
    whole = plan(**FILES)
    chosen = replace(whole, steps=(replace(whole.steps[0], selected=False), whole.steps[1]))
    reused = reused_steps(chosen, lookup_in(parent), lambda step: False, now=START)
    with pytest.raises(NotPossible, match=r"Step 'load' needs the keys of files\.result, which neither run R nor"):
        check_keys(chosen, reused, "R")
