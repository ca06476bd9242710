"""What a run remembers of the cluster that its attempts ran in: where, with which image, and how they were lost."""

from datetime import timedelta

from orchestrator.definitions.retry import RetryPolicy
from orchestrator.engine.summary import step_summary
from orchestrator.model.attempt import Place
from orchestrator.model.error_info import OUT_OF_MEMORY, ErrorInfo
from orchestrator.model.events import AttemptDied, AttemptLaunched, AttemptLost, AttemptStarted
from tests.engine.lives import START, Life, plan

FIRST = Place("pod-1", "node-1", "sales@sha256:ab", 1.5)


def begin(life, step, number=1, place=None, after=3.25):
    launched = AttemptLaunched(at=START, step=step, attempt=number, executor="kubernetes")
    at = START + timedelta(seconds=after)
    return life.tell(launched, AttemptStarted(at=at, step=step, attempt=number, n=0, pid=1, host="p", place=place))


def test_a_step_says_where_it_ran_and_how_long_it_waited():
    life = begin(Life(plan(a={})), "a", place=FIRST)
    said = step_summary(life.run.network.steps["a"])
    assert (said.place, said.waited_s) == (FIRST, 3.25)


def test_a_new_attempt_is_nowhere_until_it_begins():
    life = begin(Life(plan(a={})), "a", place=FIRST)
    life.tell(AttemptLost(at=START, step="a", attempt=1, reason="gone"))
    life.tell(AttemptLaunched(at=START, step="a", attempt=2, executor="kubernetes"))
    said = step_summary(life.run.network.steps["a"])
    assert (said.place, said.waited_s) == (None, None)


def test_a_container_whose_clock_is_behind_has_not_waited_less_than_nothing():
    life = begin(Life(plan(a={})), "a", place=FIRST, after=-5)
    assert step_summary(life.run.network.steps["a"]).waited_s == 0


def test_the_image_of_a_run_is_that_of_its_first_pod_unless_the_step_names_its_own():
    life = Life(plan(a={"pod": {"image": "tools:1"}}, b={}, c={}))
    begin(life, "a", place=Place("pod-0", "node-1", "tools@sha256:ff"))
    assert life.run.image is None
    begin(life, "b", place=FIRST)
    begin(life, "c", place=Place("pod-2", "node-1", "sales@sha256:cd"))
    assert life.run.image == "sales@sha256:ab"


def test_losses_and_running_out_of_memory_are_counted_apart():
    life = Life(plan(a={"retry": RetryPolicy(max_retries=9)}))
    for number, error in enumerate([OUT_OF_MEMORY, "ProcessExited", OUT_OF_MEMORY, None], 1):
        begin(life, "a", number)
        if error is None:
            life.tell(AttemptLost(at=START, step="a", attempt=number, reason="node lost"))
        else:
            life.tell(AttemptDied(at=START, step="a", attempt=number, error=ErrorInfo(error, "it died")))
    step = life.run.network.steps["a"]
    assert (step.out_of_memory, step.failures, step.losses) == (2, 3, 1)
