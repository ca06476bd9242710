"""`state check` finds what is damaged, `state check --repair` mends it, keeps the original and says so."""

import json
import os
import shutil

import pytest

from orchestrator.event_lines import decode_lines
from orchestrator.events import EventUnreadable
from orchestrator.operations.repair import mended_lines
from orchestrator.operations.upkeep import compact_state
from orchestrator.state_dir import prepare

PIPELINES = """
    from orchestrator import pipeline, step

    @step
    def first() -> int:
        print("hello")
        return 1

    @step
    def second(value: int) -> int:
        return 2

    @pipeline
    def small():
        second(first())
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with three runs that are over and in the index. Made once: the tests damage copies."""
    from tests.conftest import Bench

    bench = Bench(tmp_path_factory.mktemp("template")).write(PIPELINES)
    for _ in range(3):
        bench("run", "small").ok()
    bench.here("runs", "list").ok()
    yield bench
    bench.clean_up()


@pytest.fixture
def bench(bench, template):
    shutil.copytree(template.path, bench.path, dirs_exist_ok=True)
    return bench


def in_its_place(path, kind):
    data = b""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        data = path.read_bytes() if path.is_file() else b""
        path.unlink()
    match kind:
        case "missing":
            pass
        case "empty":
            path.touch()
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "zeros":
            path.write_bytes(b"\0" * 300)
        case "garbage":
            path.write_bytes(b"\xff{[\n" * 30)
        case "deep":
            path.write_bytes(b"[" * 100_000)
        case "a directory":
            path.mkdir()
        case "a FIFO":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case "a dangling link":
            path.symlink_to(path.with_name("nowhere"))
        case "a link in a circle":
            path.symlink_to(path)


FILES = [
    "format.json",
    "state.lock",
    "daemon.lock",
    "daemon.sock",
    "daemon.json",
    "daemon.log",
    "deleted.jsonl",
    "run/run.json",
    "run/journal.jsonl",
    "run/owner.lock",
    "run/steps",
    "run/steps/first/1/stdout.log",
    "run/steps/first/1/events.jsonl",
    "run/cancel",
    "runs",
    "pending",
    "storage",
]
KINDS = [
    "missing",
    "empty",
    "cut",
    "zeros",
    "garbage",
    "deep",
    "a directory",
    "a FIFO",
    "a device",
    "a dangling link",
    "a link in a circle",
]
# Covers every file and every kind; the whole is asked for by its marker.
PAIRS = [(file, KINDS[2 * number % len(KINDS)]) for number, file in enumerate(FILES)]
ALL = [
    pytest.param(file, kind, id=f"{file} {kind}", marks=() if (file, kind) in PAIRS else pytest.mark.exhaustive)
    for file in FILES
    for kind in KINDS
]
LOOKS = [["status"], ["runs", "list"], ["state", "check"], ["runs", "show", "RUN"], ["runs", "logs", "RUN"]]
ACTS = [["runs", "resume", "RUN"], ["runs", "cancel", "RUN"], ["state", "rebuild"], ["state", "check", "--repair"]]


def kind_of_errors(done):
    assert "Traceback" not in done.err, done
    assert "bug in orchestrator" not in done.err, done
    assert done.code in (0, 1, 2, 3, 4, 5, 7), done
    if done.code:
        assert done.err or done.out, done


@pytest.mark.long
@pytest.mark.parametrize(("file", "kind"), ALL)
def test_whatever_is_damaged_no_command_breaks_down_and_other_runs_are_unharmed(bench, file, kind):
    run_id = bench.json("runs", "list")[0]["run_id"]
    path = bench.state / (f"runs/{run_id}/{file[4:]}" if file.startswith("run/") else file)
    in_its_place(path, kind)
    for command in [*LOOKS, *ACTS, *LOOKS[1:]]:
        kind_of_errors(bench.here(*[run_id if word == "RUN" else word for word in command]))
    is_format = file == "format.json"
    if file not in ("runs",) and not (is_format and kind in ("a dangling link", "a link in a circle")):
        listed = {run["run_id"]: run["status"] for run in bench.json("runs", "list")}
        others = [status for other, status in listed.items() if other != run_id]
        assert others == ["SUCCESS", "SUCCESS"]


@pytest.mark.parametrize("kind", ["cut", "garbage", "a directory", "missing", "zeros"])
def test_a_damaged_journal_comes_back_from_the_index(bench, kind):
    run_id = bench.json("runs", "list")[0]["run_id"]
    journal = bench.state / "runs" / run_id / "journal.jsonl"
    before = journal.read_bytes()
    in_its_place(journal, kind)
    assert bench.here("state", "check").code == 5
    done = bench.json("state", "check", "--repair")
    assert done["ok"], done
    assert "was mended" in " ".join(done["repaired"])
    if kind in ("cut", "a directory", "missing"):
        assert journal.read_bytes() == before
    bench.here("state", "check").ok()
    bench.here("runs", "show", run_id).ok()


@pytest.mark.parametrize("kind", ["cut", "garbage", "zeros", "a directory"])
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
    wanted, replaced = mended_lines(found, [good % 0, good % 1])
    assert replaced == 1
    assert wanted[:3] == [good % 0, good % 1, good % 2]
    assert isinstance(decode_lines(wanted)[3], EventUnreadable)
    assert json.loads(wanted[3])["at"] == "2026-01-01T00:00:00Z"
    assert mended_lines(found[:1], [good % 0, good % 1]) == ([good % 0, good % 1], 0)
