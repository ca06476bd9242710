"""Every file of a state directory, damaged in every way: no command breaks down, the repair mends it, other runs are
unharmed."""

import faulthandler
import os
import signal

import pytest

from orchestrator.daemon import process, self_checks
from tests.damage.kinds import KINDS, in_its_place, permissions_apply

FILES = [
    "format.json",
    "state.lock",
    "state.duckdb",
    "state.duckdb.wal",
    "daemon.lock",
    "daemon.sock",
    "daemon.json",
    "daemon.log",
    "admission.lock",
    "deleted.jsonl",
    "over/run.json",
    "over/journal.jsonl",
    "over/owner.lock",
    "over/steps",
    "over/steps/first/1/stdout.log",
    "over/steps/first/1/events.jsonl",
    "over/cancel",
    "over",
    "fan/run.json",
    "fan/journal.jsonl",
    "fan/owner.lock",
    "fan/steps",
    "fan/steps/each[b]",
    "fan/steps/each[b]/1/claim",
    "fan/steps/each[b]/1/alive.lock",
    "fan/steps/each[b]/1/events.jsonl",
    "fan/steps/each[b]/1/exit.json",
    "fan/steps/each[a]/1/events.jsonl",
    "fan/steps/parts/1/events.jsonl",
    "fan/steps/parts/1/order.marks",
    "queued",
    "queued/run.json",
    "queued/journal.jsonl",
    "queued/owner.lock",
    "pending/over",
    "pending/fan",
    "slots",
    "slots/fan",
    "waiting",
    "waiting/fan",
    "waiting/queue.json",
    "backups",
    "backups/one",
    "runs",
    "pending",
    "storage",
]
# Covers every file and every kind; the whole is asked for by its marker.
PAIRS = [(file, KINDS[5 * number % len(KINDS)]) for number, file in enumerate(FILES)]
ALL = [
    pytest.param(file, kind, id=f"{file} {kind}", marks=() if (file, kind) in PAIRS else pytest.mark.exhaustive)
    for file in FILES
    for kind in KINDS
]
LOOKS = ["status", "runs list", "state check", "runs show RUN", "runs logs RUN", "runs events RUN", "daemon status"]
ACTS = ["state restore", "daemon start", "daemon tick", "runs resume RUN", "runs cancel RUN"]
# Commands cost far more than the damage: those that look are asked once more only where a repair changes the answer.
AFTER = ["status", "runs show RUN", "runs list"]
MENDS = ["state rebuild", "state check --repair", "state restore BACKUP --yes", "state check --repair"]


def path_of(bench, file):
    """`over/run.json` is that file of the run that is over."""
    first, *rest = file.split("/")
    if first in bench.runs:
        return bench.state.joinpath("runs", bench.runs[first], *rest)
    return bench.state.joinpath(first, *[{**bench.runs, "one": bench.backup}.get(part, part) for part in rest])


def run_of(bench, file):
    return bench.runs[next((name for name in bench.runs if name in file.split("/")), "over")]


class StopsSoon(self_checks.SelfChecks):
    """Has the daemon stop by itself after some turns."""

    turns = 0

    def turned(self, now):
        super().turned(now)
        self.turns += 1
        if self.turns == 3:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def carried_out(lived_in, monkeypatch):
    monkeypatch.setattr(faulthandler, "register", lambda number: None)  # the standard error of a test has no number

    def carry_out(commands, run_id):
        for command in commands:
            words = command.replace("RUN", run_id).replace("BACKUP", lived_in.backup).split()
            monkeypatch.setattr(
                process, "SelfChecks", StopsSoon if command == "daemon start" else self_checks.SelfChecks
            )
            explained(lived_in.here(*words))

    return carry_out


def explained(done):
    if "Traceback" in done.err or "bug in orchestrator" in done.err:
        pytest.fail(f"{done}")
    assert done.code in (0, 1, 2, 3, 4, 5, 7), done
    if done.code:
        assert done.err or done.out, done
    return done


@pytest.mark.long
@pytest.mark.parametrize(("file", "kind"), ALL)
def test_whatever_is_damaged_no_command_breaks_down_and_a_repair_mends_it(lived_in, carried_out, file, kind):
    run_id = run_of(lived_in, file)
    others = {run["run_id"] for run in lived_in.json("runs", "list")} - set(lived_in.runs.values())
    path = path_of(lived_in, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    in_its_place(path, kind)
    with permissions_apply():
        carried_out([*LOOKS, *ACTS, *MENDS, *AFTER], run_id)
    if kind == "of mode 000" and path.exists():  # the messages say that this is for a person to correct
        path.chmod(0o700)
        carried_out(["state check --repair"], run_id)
    problems = lived_in.json("state", "check")["problems"]
    if file == "storage":  # values that are gone cannot be brought back
        problems = [one for one in problems if not one.startswith("the stored values of run")]
    assert problems == []
    if file != "runs":
        listed = {run["run_id"]: run["status"] for run in lived_in.json("runs", "list")}
        assert {listed.get(other) for other in others} == {"SUCCESS"}
