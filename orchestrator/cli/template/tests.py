"""A step is a function, and a pipeline runs inside a test: no files, no other processes."""

from pipelines import Longest, hello, longest_words

from orchestrator import StepContext


def test_the_longest_words_come_first():
    assert longest_words(StepContext(), ["a", "ccc", "bb"], Longest(n=2)) == ["ccc", "bb"]


def test_the_pipeline_runs():
    result = hello.execute_in_process(config={"steps": {"longest_words": {"config": {"n": 1}}}})
    assert result.success
    assert result.output("longest_words") == ["reconciles"]
