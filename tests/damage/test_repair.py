"""`state check` finds what is damaged, `state check --repair` mends it, keeps the original and says so."""

import json

import pytest

from orchestrator.model.event_lines import decode_lines
from orchestrator.model.events import EventUnreadable
from orchestrator.runlog.repair import repaired_lines
from orchestrator.service.maintenance import compact_state
from orchestrator.state_dir import prepare
from tests.damage.kinds import in_its_place


@pytest.fixture
def bench(finished):
    return finished


@pytest.mark.parametrize("kind", ["cut", "garbage", "a directory", "missing", "zeros"])
@pytest.mark.sample(2)
def test_a_damaged_journal_comes_back_from_the_index(bench, kind):
    run_id = bench.json("runs", "list")[0]["run_id"]
    journal = bench.state / "runs" / run_id / "journal.jsonl"
    before = journal.read_bytes()
    in_its_place(journal, kind)
    assert bench.here("state", "check").code == 5
    done = bench.json("state", "check", "--repair")
    assert done["ok"], done
    assert "was repaired" in " ".join(done["repaired"])
    if kind in ("cut", "a directory", "missing"):
        assert journal.read_bytes() == before
    bench.here("state", "check").ok()
    bench.here("runs", "show", run_id).ok()


@pytest.mark.parametrize("kind", ["cut", "garbage", "zeros", "a directory"])
@pytest.mark.sample(4)
def test_a_damaged_record_is_set_aside_and_the_run_stays_in_the_list(bench, kind):
    run = bench.json("runs", "list")[0]
    in_its_place(bench.state / "runs" / run["run_id"] / "run.json", kind)
    bench.here("state", "rebuild").ok()
    bench.here("state", "check", "--repair").ok()
    assert bench.json("runs", "list")[0] == run
    assert list((bench.state / "backups").glob("*-damaged/runs/*/journal.jsonl"))
    bench.here("state", "check").ok()


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_packed_run_that_is_damaged_is_whole_again(bench, how):
    compact_state(prepare(bench.state))
    run_id = bench.json("runs", "list")[0]["run_id"]
    (packed,) = (bench.state / "runs" / run_id).glob("packed*")
    data = bytearray(packed.read_bytes())
    if how == "cut":
        packed.write_bytes(data[:-20])
    else:
        data[-6] ^= 1
        packed.write_bytes(data)
    assert bench.here("state", "check").code == 5
    bench.here("state", "check", "--repair").ok()
    events = bench.events(run_id)
    assert events[-1]["event"] == "run_finished"
    bench.here("state", "check").ok()


def test_lines_that_nobody_has_any_more_are_marked_and_the_others_kept():
    good = b'{"event":"run_interrupted","at":"2026-01-01T00:00:00Z","reason":"%d"}'
    found = [good % 0, b"garbage", good % 2, b"{"]
    wanted, replaced = repaired_lines(found, [good % 0, good % 1])
    assert replaced == 1
    assert wanted[:3] == [good % 0, good % 1, good % 2]
    assert isinstance(decode_lines(wanted)[3], EventUnreadable)
    assert json.loads(wanted[3])["at"] == "2026-01-01T00:00:00Z"
    assert repaired_lines(found[:1], [good % 0, good % 1]) == ([good % 0, good % 1], 0)
