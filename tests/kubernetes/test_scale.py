"""Runs of a hundred pods, and of a thousand that are only pretended. The number is that of docs/kubernetes.md."""

from collections import Counter

import pytest

from tests.kubernetes.fake_node import FakeNode
from tests.kubernetes.workspace import PATIENCE_S

PIPELINES = """
    import os
    from orchestrator import DynamicOut, DynamicOutput, Pod, pipeline, step

    def note(line):
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\\n".encode())
        os.close(descriptor)

    @step(outputs=DynamicOut(int))
    def keys():
        for number in range(100):
            yield DynamicOutput(number, key=f"k{number}")

    @step
    def each(context, number: int) -> int:
        note(context.step)
        return number

    @step
    def total(context, numbers: list[int]) -> None:
        note(sum(numbers))

    @pipeline
    def fans_out():
        total(keys().map(each).collect())

    FAKE = {"nodeSelector": {"kind": "fake"}, "tolerations": [{"key": "fake", "operator": "Exists"}]}

    @step(pod=Pod(spec=FAKE))
    def pretends() -> None: ...

    @pipeline
    def a_thousand_pretend():
        for number in range(1000):
            pretends.alias(f"p{number}")()
"""


@pytest.mark.long
def test_10_a_fan_out_over_a_hundred_pods_launches_no_step_twice(work):
    work.write(steps=100, max_concurrent_jobs=8)
    assert work.start("run", "fans_out").wait(10 * PATIENCE_S) == 0, work.printed()[-2000:]
    assert sorted(work.lines()) == sorted([f"each[k{number}]" for number in range(100)] + ["4950"])
    assert work.kinds().count("attempt_launched") == 102
    work.until_nothing_is_left()


@pytest.mark.long
def test_10_a_thousand_steps_on_a_node_that_only_pretends_are_launched_once_each(work):
    work.write(steps=1000, max_concurrent_jobs=1000)
    with FakeNode(work.cluster.client):
        assert work.start("run", "a_thousand_pretend").wait(5 * PATIENCE_S) == 0, work.printed()[-2000:]
        happened = Counter(work.kinds())
        assert happened["attempt_launched"] == happened["attempt_succeeded"] == 1000
        work.until_nothing_is_left()
