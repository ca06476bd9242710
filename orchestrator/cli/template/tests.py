"""A step is a function, and a pipeline runs inside a test: no files, no other processes."""

import pipelines
from pipelines import Longest, hello, longest_words, new_texts

from orchestrator import StepContext


def test_the_longest_words_come_first():
    assert longest_words(StepContext(), ["a", "ccc", "bb"], Longest(n=2)) == ["ccc", "bb"]


def test_the_pipeline_runs():
    result = hello.execute_in_process(config={"steps": {"longest_words": {"config": {"n": 1}}}})
    assert result.success
    assert result.output("longest_words") == ["reconciles"]


def test_each_text_in_the_inbox_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines, "HERE", tmp_path)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.txt").write_text("a text")
    assert [request.run_key for request in new_texts()] == ["a.txt"]
