"""What starts when: dependencies, room, priorities."""

import pytest

from tests.engine.lives import Life, plan


def test_a_step_starts_once_everything_it_needs_has_succeeded():
    life = Life(plan(a={}, b={}, c={"one": ("a", "b")})).settle()
    assert life.told == ["launch a/1", "launch b/1"]
    life.succeed("a").settle()
    assert life.told == ["launch a/1", "launch b/1"]
    life.succeed("b").settle()
    assert life.told[-1] == "launch c/1"


def test_a_run_ends_when_its_last_step_does():
    life = Life(plan(a={})).settle().succeed("a").settle()
    assert life.told[-1] == "finish SUCCESS"
    assert life.run.is_finished


def test_no_more_attempts_start_than_there_is_room_for():
    life = Life(plan(a={}, b={}, c={}), room=2).settle()
    assert life.told == ["launch a/1", "launch b/1"]
    life.succeed("a").settle()
    assert life.told[-1] == "launch c/1"


def test_without_room_nothing_starts_and_nothing_ends():
    life = Life(plan(a={}), room=0)
    assert life.ask() is None


@pytest.mark.parametrize(
    ("priorities", "order"),
    [
        pytest.param([0, 0, 0], "abc", id="equal priorities keep the order of the plan"),
        pytest.param([0, -1, 3], "cab", id="higher first"),
        pytest.param([5, 5, 7], "cab", id="stable among equals"),
    ],
)
def test_ready_steps_start_by_priority(priorities, order):
    steps = {name: {"priority": priority} for name, priority in zip("abc", priorities, strict=True)}
    life = Life(plan(**steps), room=1)
    started = []
    for _ in order:
        life.settle()
        started.append(next(iter(life.run.in_flight)))
        life.succeed(started[-1])
    assert "".join(started) == order


def test_after_orders_steps_without_passing_a_value():
    life = Life(plan(a={}, b={"after": ["a"]})).settle()
    assert life.told == ["launch a/1"]
    life.succeed("a").settle()
    assert life.told[-1] == "launch b/1"


def test_asking_twice_gives_the_same_answer():
    life = Life(plan(a={}, b={}))
    assert life.ask() == life.ask()


def test_a_step_is_told_which_values_it_gets():
    life = Life(plan(a={}, b={"outputs": ("x", "y")}, c={"one": ("a",), "many": ("a", "b.y")})).settle()
    life.succeed("a").succeed("b").settle()
    spec_inputs = life.run.network.steps["c"]
    assert [ref.output for ref in spec_inputs.sources_of_input(1)] == ["result", "y"]
    assert [ref.run_id for ref in spec_inputs.sources_of_input(0)] == ["run"]
