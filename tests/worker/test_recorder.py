"""Events of an attempt as they are written down: numbered without gaps, bounded, and over once the outcome is there."""

import os
import threading

import pytest

from orchestrator import AssetMaterialization, DefinitionError, Failure
from orchestrator.errors import NotPossible
from orchestrator.masking import Masker
from orchestrator.model.events import AttemptFailed, AttemptSucceeded
from orchestrator.worker import recorder
from orchestrator.worker.errors import error_info
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.recorder import Recorder


@pytest.fixture
def events():
    return []


@pytest.fixture
def record(events):
    return Recorder("s", 1, lambda _line, event: events.append(event), Interruption())


def test_lines_of_many_threads_are_numbered_without_gaps(record, events):
    log = record.logger()
    threads = [threading.Thread(target=lambda: [log.info("x") for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.n for event in events] == list(range(1600))


def test_a_line_logged_while_another_is_being_written_comes_next(events):
    def write(_line, event):
        events.append(event)
        if len(events) == 1:
            log.info("by a signal handler")

    log = Recorder("s", 1, write, Interruption()).logger()
    log.info("first")
    assert [(event.n, event.message) for event in events] == [(0, "first"), (1, "by a signal handler")]


def test_nothing_follows_the_outcome(record, events, capsys):
    record(AttemptSucceeded, seconds=1.0)
    record.logger().warning("too late")
    assert [type(event) for event in events] == [AttemptSucceeded]
    assert capsys.readouterr().err == "WARNING too late\n"


def test_a_copy_records_no_facts_and_prints_its_lines(record, events, capsys, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    record.logger().info("from a worker")
    with pytest.raises(NotPossible):
        record.record(AssetMaterialization("a"))
    assert events == []
    assert capsys.readouterr().err == "INFO from a worker\n"


def test_a_fact_that_was_made_deep_afterwards_is_refused(record, events):
    deep = {}
    for _ in range(5000):
        deep = {"x": deep}
    fact = AssetMaterialization("a", metadata={"m": 1})
    fact.metadata["m"] = deep
    with pytest.raises(DefinitionError, match="nested more than"):
        record.record(fact)
    assert events == []


def test_a_fact_that_is_too_large_is_refused_and_the_next_one_recorded(record, events):
    with pytest.raises(DefinitionError, match="has 5 MB"):
        record.record(AssetMaterialization("a", metadata={"m": "x" * (5 << 20)}))
    record.record(AssetMaterialization("a"))
    assert [event.n for event in events] == [0]


def test_an_outcome_is_recorded_however_large_its_error_is(record, events):
    record(AttemptFailed, seconds=0.0, error=error_info(Failure("no", metadata={"m": "x" * (5 << 20)})))
    assert events[0].error.metadata == {"left out": "metadata of 5 MB"}


def test_log_lines_beyond_a_limit_are_printed(record, events, capsys, monkeypatch):
    monkeypatch.setattr(recorder, "MOST_LOGGED", 100)
    for number in range(5):
        record.logger().info(f"{number}" * 60)
    assert [event.message[:10] for event in events] == ["0000000000", "1111111111", "This attem"]
    assert capsys.readouterr().err.splitlines() == [f"INFO {number * 60}" for number in "234"]


def test_a_secret_at_the_place_where_a_line_is_cut_is_hidden_as_a_whole(events, capsys):
    record = Recorder("s", 1, lambda _line, event: events.append(event), Interruption(), Masker(["enchantress"]))
    record.logger().info("x" * (recorder.LONGEST_LOG_MESSAGE - 4) + "enchantress")
    assert "encha" not in events[0].message
    assert "encha" not in capsys.readouterr().err
