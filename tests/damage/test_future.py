"""Files that a newer version has written: said, in no other run's way, and left as they are by every command."""

import gzip
import json

import pytest

from orchestrator.catalog.session import open_store
from orchestrator.service.maintenance import compact_state
from orchestrator.state_dir import prepare
from tests.damage.test_table import explained

MOST = [
    "status", "runs list", "runs show RUN", "runs logs RUN", "state check", "runs resume RUN", "runs cancel RUN",
    "daemon tick", "state rebuild", "state compact", "state check --repair",
]  # fmt: skip


def newer_layout(bench):
    path = bench.state / "format.json"
    path.write_text(json.dumps({"format": 99, "and": "more"}))
    return path


def newer_schema(bench):
    with open_store(prepare(bench.state)) as store:
        store.database.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
        store.database.checkpoint()
    return bench.state / "state.duckdb"


def newer_record(bench):
    path = bench.state / "runs" / bench.runs["over"] / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99, "trigger": 7}))
    return path


def newer_record_of_a_run_in_flight(bench):
    bench.runs = {**bench.runs, "over": bench.runs["fan"]}
    return newer_record(bench)


def newer_packed_record(bench):
    compact_state(prepare(bench.state))
    path = bench.state / "runs" / bench.runs["over"] / "packed.jsonl.gz"
    record, *lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    record = json.dumps({**json.loads(record), "format": 99, "plan": []}).encode() + b"\n"
    path.write_bytes(gzip.compress(record + b"".join(lines)))
    return path


NEWER = [
    newer_layout, newer_schema, newer_record, newer_record_of_a_run_in_flight, newer_packed_record,
]  # fmt: skip


@pytest.mark.parametrize("newer", NEWER)
@pytest.mark.sample(1)
def test_what_a_newer_version_has_written_is_said_and_stays_as_it_is(lived_in, newer):
    path = newer(lived_in)
    before, said = path.read_bytes(), ""
    for command in MOST:
        command_line = command.replace("RUN", lived_in.runs["over"]).split()
        in_a_process = command == "daemon tick"
        done = explained((lived_in if in_a_process else lived_in.here)(*command_line))
        said += done.out + done.err
    assert "newer version" in said or "99" in said
    assert path.read_bytes() == before


def test_an_event_and_a_field_that_only_a_newer_version_knows_are_kept(lived_in):
    run = lived_in.state / "runs" / lived_in.runs["over"]
    lines = (run / "journal.jsonl").read_text().splitlines(keepends=True)
    lines[0] = json.dumps({**json.loads(lines[0]), "since_version_9": [1]}) + "\n"
    lines.insert(1, json.dumps({"event": "from_the_future", "at": "2026-01-01T00:00:00Z"}) + "\n")
    (run / "journal.jsonl").write_text("".join(lines))
    for command in ("state rebuild", "runs show RUN", "runs events RUN", "state check", "state check --repair"):
        explained(lived_in.here(*command.replace("RUN", lived_in.runs["over"]).split()))
    assert lived_in.json("runs", "show", lived_in.runs["over"])["status"] == "SUCCESS"
    assert "since_version_9" in (run / "journal.jsonl").read_text()
    assert "from_the_future" in (run / "journal.jsonl").read_text()
    lived_in.here("state", "check").ok()


def test_a_backup_of_a_newer_version_is_refused_before_anything_is_touched(lived_in):
    backup = lived_in.state / "backups" / lived_in.backup
    newer_schema(lived_in)
    newer = (lived_in.state / "state.duckdb").read_bytes()
    lived_in.here("state", "restore", backup, "--yes").ok()
    backup.write_bytes(newer)
    refused = explained(lived_in.here("state", "restore", backup, "--yes"))
    assert refused.code == 5
    assert "version" in refused.err
    lived_in.here("state", "check").ok()
