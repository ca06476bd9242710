"""Runs that continue earlier ones, of thousands of random pipelines: which steps run, and which values they get."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.engine.actions import Finish, Launch, Record
from orchestrator.engine.next_action import next_action
from orchestrator.engine.progress import RunProgress
from orchestrator.engine.reuse import check_keys, finished_before, nearest, reused_steps, unselected_steps
from orchestrator.errors import NotFound, NotPossible
from orchestrator.model import events as ev
from orchestrator.model.error_info import ErrorInfo
from tests.engine.lives import OWNER, START
from tests.engine.random_pipelines import Fate, Oracle, is_possible, key, outcome, plan_of, random_choice, random_nodes

ERROR = ErrorInfo("ValueError", "no")


class Driven:
    """A run that is driven to its end, or canceled after so many attempts."""

    def __init__(self, nodes, plan, run, seed, reused, cancel_after=None):
        self.progress = RunProgress(plan, run)
        self.launched = {}
        by_name = {node.name: node for node in nodes}
        self.progress.apply(ev.RunStarted(at=START, owner=OWNER))
        for event in reused:
            self.progress.apply(event)
        while (action := self.ask()) is not None:
            if isinstance(action, Record):
                self.progress.apply(action.event)
            elif isinstance(action, Finish):
                self.reason = action.reason
                self.progress.apply(ev.RunFinished(at=START, status=action.status, reason=action.reason))
            else:
                assert isinstance(action, Launch)
                self._attempt(action.spec, by_name, seed)
                if len(self.launched) == cancel_after:
                    self.progress.apply(ev.RunCancelRequested(at=START, by="somebody"))
        assert self.progress.is_finished
        assert not self.reason.startswith("nothing can proceed")

    def ask(self):
        return next_action(self.progress, now=START, room=1, random=lambda: 0.5)

    def _attempt(self, spec, by_name, seed):
        assert spec.step not in self.launched
        planned = self.progress.network.steps[spec.step].planned
        self.launched[spec.step] = [
            [(one.step, one.output, one.mapping_key, one.run_id) for one in spec.inputs[each.name]]
            for each in planned.inputs
        ]
        self.progress.apply(ev.AttemptLaunched(at=START, step=spec.step, attempt=1, executor="test"))
        produced = outcome(seed, self.progress.run_id, spec.step, by_name[planned.node])
        fields = {"at": START, "step": spec.step, "attempt": 1, "n": 0, "seconds": 1.0}
        if produced is None:
            self.progress.apply(ev.AttemptFailed(error=ERROR, **fields))
        else:
            self.progress.apply(ev.AttemptSucceeded(outputs=produced, **fields))

    def states(self):
        return {name: str(step.state) for name, step in self.progress.network.steps.items() if not step.never}


def is_as_expected(driven, oracle):
    assert driven.launched == oracle.runs()
    assert driven.states() == oracle.states()


def what_ended_well(driven, oracle):
    """The fates of a run that was canceled: those of the steps that had ended by then."""
    ended = {name for name, step in driven.progress.network.steps.items() if step.is_finished}
    ended -= {name for name, state in driven.states().items() if state == "CANCELED"}
    return {where: fate if key(*where) in ended else Fate("CANCELED") for where, fate in oracle.fates.items()}


def continued(nodes, random, seed, number, before, *, selects):
    """One run that continues those before, checked; None when what was chosen is impossible."""
    drivens, fates = before
    run, only_failed = f"run {number}", random.random() < 0.7
    chosen = random_choice(random, nodes, fates[0]) if selects else None
    if chosen is not None and not is_possible(nodes, chosen):
        return None
    plan = plan_of(nodes, chosen)
    keep = finished_before(drivens[0].progress) if only_failed else lambda _step: False
    reused = reused_steps(plan, nearest((one.progress.run_id, one.progress) for one in drivens), keep, now=START)
    oracle = Oracle(nodes, run, seed, earlier=fates, chosen=chosen, only_failed=only_failed)
    try:
        check_keys(plan, reused, "parent")
    except NotPossible:
        assert any(event.run_id is None for event in reused)
        return None
    except NotFound:
        assert lacks_a_key(oracle)
        return None
    driven = Driven(nodes, plan, run, seed, reused)
    is_as_expected(driven, oracle)
    return driven, oracle.fates


def lacks_a_key(oracle):
    """Whether a key is chosen that no step has."""
    chosen = [(name, keys) for name, wanted in oracle.chosen.items() for keys in wanted if keys]
    return any(
        not any(name == there and mine[: len(keys)] == keys for there, mine in oracle.fates) for name, keys in chosen
    )


def live_through(seed, count, *, selects):
    random = Random(seed)
    nodes = random_nodes(random, count)
    first = Oracle(nodes, "run 0", seed)
    plan = plan_of(nodes)
    cancel_after = random.randint(1, count) if random.random() < 0.3 else None
    driven = Driven(nodes, plan, "run 0", seed, unselected_steps(plan, now=START), cancel_after)
    if cancel_after is None:
        is_as_expected(driven, first)
    drivens, fates = [driven], [what_ended_well(driven, first)]
    for number in (1, 2, 3):
        found = continued(nodes, random, seed, number, (drivens, fates), selects=selects and random.random() < 0.6)
        if found is not None:
            drivens.insert(0, found[0])
            fates.insert(0, found[1])


def examples(count):
    return lambda test: settings(max_examples=count, deadline=None)(
        given(st.integers(0, 2**32), st.integers(1, 9))(test)
    )


@examples(350)
def test_a_rerun_runs_what_it_must_on_the_values_it_must(seed, count):
    live_through(seed, count, selects=False)


@example(4719, 9)  # a key of two levels, of which a step that runs again makes the second
@examples(350)
def test_a_rerun_of_a_selection_runs_what_it_must_on_the_values_it_must(seed, count):
    live_through(seed, count, selects=True)


@pytest.mark.chaos
@pytest.mark.parametrize("selects", [False, True])
def test_many_more_reruns(selects):
    @examples(20_000)
    def each(seed, count):
        live_through(seed, count, selects=selects)

    each()
