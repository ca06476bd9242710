"""Recovery is nothing but applying the journal: wherever it ends, the same things happen next."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.next_action import next_action, next_instant
from orchestrator.engine.progress import RunProgress
from orchestrator.model.states import TERMINAL_STEP_STATES
from orchestrator.planning.plan import Plan
from tests.engine.lives import Life, fails, plan, planned


@st.composite
def plans(draw):
    """Any plan of up to nine steps: inputs, lists, order, branches, retries, one level of mapping."""
    steps = {}
    for index in range(draw(st.integers(1, 9))):
        name = f"s{index}"
        plain = [other for other, step in steps.items() if not step.scope and not step.outputs[0].dynamic]
        dynamic = [other for other, step in steps.items() if step.outputs[0].dynamic]
        mapped = [other for other, step in steps.items() if step.scope]
        options = {"retry": fails(draw(st.integers(0, 1))), "priority": draw(st.integers(-1, 1))}
        shape = draw(st.sampled_from(["plain", "dynamic", "mapped", "collect"]))
        if shape == "mapped" and dynamic:
            over = draw(st.sampled_from(dynamic))
            options |= {"over": f"{over}.result", "one": over}
        elif shape == "collect" and mapped:
            options |= {"all": draw(st.sampled_from(mapped))}
        else:
            if plain:
                options["one"] = tuple(draw(st.lists(st.sampled_from(plain), max_size=2, unique=True)))
                options["after"] = draw(st.lists(st.sampled_from(plain), max_size=1))
            options |= {"dynamic": ("result",)} if shape == "dynamic" else {"optional": ("result",)}
        steps[name] = planned(name, options, steps)
    return Plan(pipeline="p", mode="default", steps=tuple(steps.values()))


OUTCOMES = st.sampled_from(["succeed", "succeed", "leave out", "fail", "lose", "die"])


def live(drawn, data):
    """A whole run with outcomes as they come."""
    life = Life(drawn, room=data.draw(st.integers(1, 4)))
    for _ in range(300):
        life.settle()
        if life.run.is_finished:
            return life
        if not life.run.in_flight:
            life.now = next_instant(life.run)
            continue
        key = data.draw(st.sampled_from(sorted(life.run.in_flight)))
        end_somehow(life, key, data)
    raise AssertionError(f"the run does not end: {life.states()}")


def end_somehow(life, key, data):
    outcome = data.draw(OUTCOMES)
    output = life.run.network.steps[key].planned.outputs[0]
    if outcome in ("succeed", "leave out"):
        keys = tuple(data.draw(st.lists(st.sampled_from("abc"), max_size=3, unique=True))) if output.dynamic else None
        left_out = outcome == "leave out" and output.optional
        life.produce(key, {} if left_out else {"result": keys})
    else:
        getattr(life, outcome)(key)


@settings(max_examples=150, deadline=None)
@given(plans(), st.data())
def test_every_run_ends_with_every_step_decided(drawn, data):
    life = live(drawn, data)
    assert all(step.state in TERMINAL_STEP_STATES for step in life.run.network.steps.values())
    assert life.run.network.unfinished == 0
    failed = any(str(step.state) == "FAILURE" for step in life.run.network.steps.values())
    assert str(life.run.status) == ("FAILURE" if failed else "SUCCESS")


@settings(max_examples=100, deadline=None)
@given(plans(), st.data())
def test_a_replayed_journal_leads_to_the_same_next_action(drawn, data):
    life = live(drawn, data)
    cut = data.draw(st.integers(1, len(life.journal)))
    once, again = RunProgress(drawn, "run"), RunProgress(drawn, "run")
    for event in life.journal[:cut]:
        once.apply(event)
        again.apply(event)
    arguments = {"now": life.now, "room": 1, "random": lambda: 0.5}
    assert next_action(once, **arguments) == next_action(again, **arguments)
    assert {key: step.state for key, step in once.network.steps.items()} == {
        key: step.state for key, step in again.network.steps.items()
    }


@settings(max_examples=100, deadline=None)
@given(plans(), st.data())
def test_no_attempt_is_launched_twice(drawn, data):
    life = live(drawn, data)
    launches = [told for told in life.told if told.startswith("launch")]
    assert len(launches) == len(set(launches))


def test_a_damaged_journal_ends_a_run_instead_of_hanging_it():
    """Unselected steps must be reported as reused first; without that nothing could ever start."""
    life = Life(plan(a={"selected": False}, b={"one": "a"})).settle()
    assert life.told == ["finish FAILURE"]
    assert "b" in life.run.reason
