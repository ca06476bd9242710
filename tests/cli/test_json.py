"""Every command has --json: valid on success and on error, and no poorer than the text."""

import json
import re
import signal
from pathlib import Path

import pytest
import typer

from orchestrator import errors
from orchestrator.cli.app import COMMANDS, app
from orchestrator.service import workspace  # noqa: F401 (has an error of its own)
from tests.conftest import Bench

PIPELINES = """
    import os, time
    from dataclasses import dataclass
    from orchestrator import (
        AssetMaterialization, Expectation, Failure, RunRequest, SkipReason, pipeline, run_status_sensor, schedule,
        sensor, step,
    )

    @dataclass
    class Limit:
        n: int = 10

    @step
    def load(context, config: Limit) -> int:
        context.log_asset(AssetMaterialization("raw/orders", metadata={"rows": config.n}, partition="north"))
        return config.n

    @step
    def check(context, n: int) -> int:
        print("counted to eleven")
        raise Failure("too many orders", metadata={"limit": 11})

    @step
    def report(n: int): ...

    @pipeline
    def orders():
        report(check(load()))

    @step
    def tick() -> int:
        return 1

    @pipeline
    def fine():
        tick()

    @step
    def block():
        open("began", "w").close()
        while not os.path.exists("go_on"):
            time.sleep(0.02)

    @pipeline
    def blocking():
        block()

    @schedule(cron="30 2 * * *", timezone="UTC", pipeline=fine)
    def nightly(context):
        return RunRequest(run_key="k", tags={"a": "b"})

    @schedule(cron="0 4 * * *", pipeline=fine)
    def early(context):
        raise ValueError("no idea when")

    @sensor(pipeline=fine)
    def files(context):
        print("looked around")
        context.update_cursor("here")
        return SkipReason("nothing new")

    @run_status_sensor(status="FAILURE")
    def alert(context, run): ...
"""
DOCS = Path(__file__).parents[2] / "docs" / "json.md"
# Commands without --json, each with the reason.
WITHOUT = {("completion",): "prints a script for a shell"}
# One object a line: what they print may be long, or never end.
LINES = {("runs", "logs"), ("daemon", "logs")}
# How each command is called on the prepared workspace, in this order, and its exit code.
CALLS = {
    ("init",): (["init", "elsewhere"], 0),
    ("run",): (["run", "fine"], 0),
    ("pipeline", "list"): (["pipeline", "list"], 0),
    ("pipeline", "show"): (["pipeline", "show", "orders"], 0),
    ("pipeline", "config"): (["pipeline", "config", "orders"], 0),
    ("schedule", "list"): (["schedule", "list"], 0),
    ("schedule", "start"): (["schedule", "start", "nightly"], 0),
    ("schedule", "ticks"): (["schedule", "ticks"], 0),
    ("schedule", "logs"): (["schedule", "logs"], 0),
    ("schedule", "next"): (["schedule", "next", "nightly"], 0),
    ("schedule", "preview"): (["schedule", "preview", "nightly"], 0),
    ("schedule", "forget"): (["schedule", "forget", "nightly"], 4),
    ("schedule", "stop"): (["schedule", "stop", "nightly"], 0),
    ("sensor", "list"): (["sensor", "list"], 0),
    ("sensor", "start"): (["sensor", "start", "alert"], 0),
    ("sensor", "stop"): (["sensor", "stop", "alert"], 0),
    ("sensor", "ticks"): (["sensor", "ticks"], 0),
    ("sensor", "logs"): (["sensor", "logs"], 0),
    ("sensor", "deliveries"): (["sensor", "deliveries"], 0),
    ("sensor", "retry"): (["sensor", "retry", "alert"], 0),
    ("sensor", "acknowledge"): (["sensor", "acknowledge", "alert"], 0),
    ("sensor", "preview"): (["sensor", "preview", "files"], 0),
    ("sensor", "cursor"): (["sensor", "cursor", "files", "--set", "there"], 0),
    ("sensor", "forget"): (["sensor", "forget", "files", "nokey"], 4),
    ("runs", "cancel"): (["runs", "cancel", "QUEUED"], 0),
    ("simulate",): (["simulate", "--to", "+1d"], 0),
    ("daemon", "tick"): (["daemon", "tick"], 0),
    ("daemon", "status"): (["daemon", "status"], 7),
    ("daemon", "logs"): (["daemon", "logs"], 0),
    ("daemon", "stop"): (["daemon", "stop"], 0),
    ("daemon", "start"): (["daemon", "start"], 2),
    ("daemon", "install"): (["daemon", "install", "--print"], 0),
    ("daemon", "uninstall"): (["daemon", "uninstall"], None),
    ("runs", "list"): (["runs", "list"], 0),
    ("runs", "show"): (["runs", "show", "last"], 0),
    ("runs", "events"): (["runs", "events", "last"], 0),
    ("runs", "logs"): (["runs", "logs", "FAILED"], 0),
    ("runs", "wait"): (["runs", "wait", "FAILED"], 1),
    ("runs", "resume"): (["runs", "resume", "FAILED"], 4),
    ("runs", "acknowledge"): (["runs", "acknowledge", "FAILED", "--note", "known"], 0),
    ("runs", "delete"): (["runs", "delete", "last", "--yes"], 0),
    ("asset", "list"): (["asset", "list"], 0),
    ("asset", "show"): (["asset", "show", "raw/orders"], 0),
    ("asset", "history"): (["asset", "history", "raw/orders"], 0),
    ("sql",): (["sql", "SELECT 1 AS one"], 0),
    ("status",): (["status"], 0),
    ("config", "check"): (["config", "check"], 0),
    ("config", "show"): (["config", "show"], 0),
    # Without a cluster, each says so.
    ("kubernetes", "check"): (["kubernetes", "check"], 3),
    ("kubernetes", "jobs"): (["kubernetes", "jobs"], 3),
    ("kubernetes", "manifest"): (["kubernetes", "manifest", "orders"], 3),
    ("kubernetes", "rbac"): (["kubernetes", "rbac"], 0),
    ("state", "backup"): (["state", "backup"], 0),
    ("state", "restore"): (["state", "restore", "BACKUP", "--yes"], 0),
    ("state", "compact"): (["state", "compact"], 0),
    ("state", "rebuild"): (["state", "rebuild"], 0),
    ("state", "check"): (["state", "check"], 0),
    ("asset", "wipe"): (["asset", "wipe", "--all", "--yes"], 0),
}


def commands():
    group = typer.main.get_command(app)
    for name in COMMANDS:
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from (((name, inner), command.commands[inner]) for inner in command.commands)
        else:
            yield (name,), command


ALL = dict(commands())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("workspace"))
    bench.write(PIPELINES)
    bench("run", "orders", "--set", "steps.load.config.n=12", "--tag", "who=me")
    bench.failed = bench.json("runs", "list")[0]["run_id"]
    bench.queued = bench("run", "fine", "--detach").ok().out.strip()
    yield bench
    bench.clean_up()


def test_every_command_has_json_or_a_reason_not_to():
    for words, command in ALL.items():
        has_json = any("--json" in parameter.opts for parameter in command.params)
        assert has_json != (words in WITHOUT), words
    assert ALL.keys() - WITHOUT.keys() == CALLS.keys()


@pytest.mark.long
def test_each_gives_valid_json(made):
    """In one go, and in order: each makes something that a later one needs."""
    backup = ""
    for words, (arguments, code) in CALLS.items():
        named = {"FAILED": made.failed, "QUEUED": made.queued, "BACKUP": backup}
        call = [named.get(argument, argument) for argument in arguments]
        command = made if words in {("run",), ("daemon", "tick")} else made.here
        done = command(*call, "--json", HOME=made.path, XDG_CONFIG_HOME=made.path / "home")
        assert code is None or done.code == code, done
        values = [json.loads(line) for line in done.out.splitlines()] if words in LINES else [json.loads(done.out)]
        assert values, done
        if words == ("state", "backup"):
            backup = values[0]["backup"]
        failed = isinstance(values[-1], dict) and values[-1].get("error")
        if code is not None:
            assert bool(failed) == (done.code not in (0, 1)), done
        if failed:
            assert values[-1]["error"]["exit_code"] == done.code
            assert values[-1]["error"]["message"].split("\n")[0] in done.err  # people see it too


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_an_unknown_option_is_an_error_object(made, words):
    error = refused(made.here(*words, "--json", "--nonsense"), 2)
    assert error["kind"] == "usage"
    assert "--nonsense" in error["message"]


@pytest.mark.parametrize("words", [words for words in CALLS if words != ("init",)], ids=" ".join)
def test_a_broken_workspace_file_is_an_error_object(made, words):
    (made.path / "broken").mkdir(exist_ok=True)
    (made.path / "broken" / ".orchestrator.yaml").write_text("locations: [{nmae: main}]\n")
    arguments = ["--detach"] if words == ("daemon", "start") else []
    error = refused(made.here("-w", "broken", *CALLS[words][0], *arguments, "--json"), 3)
    assert (error["kind"], any("nmae" in text for text in [error["message"], *error["details"]])) == ("config", True)


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        pytest.param(["runs", "lst"], 2, "usage", id="command"),
        pytest.param(["runs", "show"], 2, "usage", id="missing argument"),
        pytest.param(["runs", "show", "zzzz"], 4, "not_found", id="run"),
        pytest.param(["run", "nope"], 4, "not_found", id="pipeline"),
        pytest.param(["run", "orders", "--set", "steps.load.config.n=x"], 3, "config", id="configuration"),
        pytest.param(["sensor", "start", "nope"], 4, "not_found", id="sensor"),
        pytest.param(["sensor", "ticks", "--status", "odd"], 2, "usage", id="state"),
        pytest.param(["asset", "show", "nope"], 4, "not_found", id="asset"),
        pytest.param(["schedule", "preview", "early"], 6, "execution", id="preview"),
        pytest.param(["state", "restore", "nope", "--yes"], 5, "store", id="backup"),
        pytest.param(["asset", "wipe", "--all"], 2, "usage", id="nobody to ask"),
        pytest.param(["runs", "events", "zzzz", "--follow"], 4, "not_found", id="streaming"),
    ],
)
def test_an_error_has_its_kind_and_code(made, arguments, code, kind):
    error = refused(made.here(*arguments, "--json"), code)
    assert error["kind"] == kind
    assert error.keys() >= {"kind", "message", "hint", "details", "exit_code"}


def test_kinds_are_the_documented_ones():
    written = DOCS.read_text().split("`kind` is one of")[1].split(". The codes")[0]
    documented = set(re.findall(r"`([a-z_]+)`", written)) - {"traceback"}
    assert documented == {one.kind() for one in subclasses(errors.OrchestratorError)} | {"interrupted", "bug"}
    assert (errors.NotFound.kind(), errors.StoreError.kind(), errors.TimedOut.kind()) == (
        "not_found",
        "store",
        "timed_out",
    )


def subclasses(cls):
    for one in cls.__subclasses__():
        yield one
        yield from subclasses(one)


def refused(done, code):
    """The error of a command that printed nothing but that to stdout."""
    assert done.code == code, done
    error = json.loads(done.out)["error"]
    assert error["exit_code"] == code
    assert "This is a bug" not in done.err
    return error


def values(value):
    """All keys and leaves of a JSON value, as text."""
    if isinstance(value, dict):
        return {text for name, inner in value.items() for text in {name} | values(inner)}
    if isinstance(value, list):
        return {text for inner in value for text in values(inner)}
    return {str(value)}


# (what the text says, the same in JSON), command by command
FACTS = {
    "runs show": [
        ("owner", "owner"), ("manual", "manual"), ("mode default", "default"), ("n=12", "12"), ("who=me", "me"),
        ("FAILURE", "FAILURE"), ("load", "load"), ("3 steps", "steps"), (" in ", "duration_s"),
        ("too many orders", "Failure: too many orders"), ("pipelines.py", "line"), ("in check", "check"),
        ('raise Failure("too many', 'raise Failure("too many orders", metadata={"limit": 11})'), ("limit: 11", "11"),
        ("counted to eleven", "counted to eleven"), ("raw/orders", "raw/orders"), ("north", "north"),
        ("rows 12", "rows"),
        ("check did not succeed", "check did not succeed"), ("(/", "directory"), ("acknowledged", "acknowledged"),
        ("seen by us", "seen by us"),
    ],
    "run": [
        ("FAILURE", "FAILURE"), ("too many orders", "Failure: too many orders"),
        ("counted to eleven", "counted to eleven"), ("raw/orders", "raw/orders"),
        ("check did not succeed", "check did not succeed"), ("limit: 11", "11"),
    ],
    "runs list": [("FAILURE", "FAILURE"), ("TOOK", "duration_s"), ("manual", "manual"), ("waits: ", "waits_for")],
    "asset show": [
        ("raw/orders", "raw/orders"), ("1 time", "materializations"), ("first", "first_at"), ("orders.load", "load"),
        ("north", "north"), ("rows", "rows"),
    ],
    "sensor list": [("main/files", "main/files"), ("off", "on"), ("every 15s", "15.0"), ("fine", "fine")],
    "schedule list": [
        ("main/nightly", "main/nightly"), ("30 2 * * *", "30 2 * * *"), ("UTC", "UTC"), ("on", "on"), ("fine", "fine"),
        ("NEXT", "next_at"),
    ],
    "status": [
        ("problem", "problems"), ("the last run of orders failed", "sentence"), ("main", "main"), ("fine", "fine"),
        ("not running", "running"), ("30 2 * * * UTC", "30 2 * * * UTC"), ("off: ", "is_on"), ("1 queued", "queued"),
        ("failed in the last day", "failed_runs"),
    ],
    "daemon status": [("No daemon is running.", "No daemon is running."), ("Start one with", "hint")],
    "schedule preview nightly": [("run_key: k", "k"), ("a: b", "a")],
    "sensor preview files": [("looked around", "looked around\n"), ("nothing new", "nothing new")],
    "pipeline show orders": [("load", "load"), ("modes: default", "default"), ("pipelines.py:", "where")],
    "config check": [("main", "main"), ("orders", "orders"), (".orchestrator.yaml", "workspace")],
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("told"))
    bench.write(PIPELINES)
    bench.given = ["orders", "--set", "steps.load.config.n=12", "--tag", "who=me"]
    bench.ran = {"run": (bench("run", *bench.given), bench("run", *bench.given, "--json"))}
    bench.failed = json.loads(bench.ran["run"][1].out)["run_id"]
    bench("run", "fine", "--detach").ok()
    bench.here("schedule", "start", "nightly").ok()
    bench.status = bench.here("status"), bench.here("status", "--json")
    bench.here("runs", "acknowledge", bench.failed, "--note", "seen by us").ok()
    yield bench
    bench.clean_up()


@pytest.mark.parametrize("command", FACTS)
@pytest.mark.sample(3)
def test_json_has_every_fact_of_the_text(told, command):
    call = {"runs show": ["runs", "show", told.failed], "asset show": ["asset", "show", "raw/orders"]}
    arguments = call.get(command, command.split())
    if command == "run":
        text, as_json = told.ran["run"]
    elif command == "status":
        text, as_json = told.status
    else:
        text, as_json = told.here(*arguments), told.here(*arguments, "--json")
    assert text.code == as_json.code, (text, as_json)
    found = values(json.loads(as_json.out))
    for in_text, in_json in FACTS[command]:
        if (command, in_text) not in {("runs show", "owner"), ("asset show", "1 time")}:
            assert in_text in text.out + text.err, (in_text, text)
        assert in_json in found, (in_json, as_json)


def test_a_frame_of_an_error_is_whole(told):
    page = told.json("runs", "show", told.failed)
    (check,) = [step for step in page["steps"] if step["key"] == "check"]
    frame = check["failure"]["frames"][-1]
    assert frame.keys() == {"file", "line", "function", "source"}
    assert (frame["function"], frame["source"].split("(")[0]) == ("check", "raise Failure")
    assert page["config"] == {"steps": {"load": {"config": {"n": 12}}}}


def test_the_keys_that_scripts_rely_on_are_there(told):
    page = json.loads(told.ran["run"][1].out)
    promised = {"run_id", "pipeline", "mode", "status", "created_at", "started_at", "finished_at", "tags", "trigger"}
    assert page.keys() > promised | {"steps"}
    assert page["steps"][0].keys() >= {"key", "status", "attempts", "duration_s", "error"}
    assert page["steps"][1]["error"] == "Failure: too many orders"
    assert all(run.keys() > promised and "steps" not in run for run in told.json("runs", "list"))


class TestOneRunInEveryCommand:
    """What the commands say of a run at one moment is the same."""

    @pytest.mark.long
    def test_owned_then_without_owner_then_over(self, bench):
        bench.write(PIPELINES)
        command = bench.start("run", "blocking")
        bench.wait_until((bench.path / "began").exists, "the step")
        run_id = bench.json("runs", "list")[0]["run_id"]
        assert self._owners(bench, run_id) == ("alive", "alive", "active_runs")
        assert "owner gone" not in bench.here("runs", "list").out + bench.here("runs", "show", run_id).out
        assert bench.here("runs", "delete", run_id, "--yes", "--json").code == 4
        error = json.loads(bench.here("runs", "delete", run_id, "--yes", "--json").out)["refused"][0]
        assert (error["run_id"], "runs cancel" in error["hint"]) == (run_id, True)

        command.send_signal(signal.SIGKILL)
        command.wait()
        bench.wait_until(lambda: self._owners(bench, run_id)[0] == "gone", "the end of the owner")
        assert self._owners(bench, run_id) == ("gone", "gone", "interrupted_runs")
        for arguments in (["runs", "list"], ["runs", "show", run_id], ["status"]):
            assert "owner gone" in bench.here(*arguments).out
        (bench.path / "go_on").touch()
        page = json.loads(bench("runs", "resume", run_id, "--json").ok().out)
        assert (page["status"], page["owner"]) == ("SUCCESS", None)

    def _owners(self, bench, run_id):
        (listed,) = bench.json("runs", "list")
        status = bench.json("status")
        where = [name for name in ("active_runs", "interrupted_runs") if status[name]]
        return listed["owner"], bench.json("runs", "show", run_id)["owner"], *where

    def test_waiting_in_the_queue(self, bench):
        bench.write(PIPELINES)
        queued = json.loads(bench("run", "fine", "--detach", "--json").ok().out)
        (listed,) = bench.json("runs", "list")
        shown = bench.json("runs", "show", "last")
        assert queued["waits_for"] == listed["waits_for"] == shown["waits_for"]
        assert "no daemon is running" in shown["waits_for"]
        assert shown["waits_for"] in bench.here("runs", "show", "last").out
        assert shown["waits_for"] in bench.here("runs", "list").out

    def test_waiting_for_a_slot_in_a_terminal(self, bench):
        bench.write(PIPELINES)
        with (bench.path / ".orchestrator.yaml").open("a") as file:
            file.write("\nrun_queue: {tag_limits: [{key: db, limit: 1}]}\n")
        holder = bench.start("run", "blocking", "--tag", "db=x")
        bench.wait_until((bench.path / "began").exists, "the step")
        error = refused(bench("run", "fine", "--tag", "db=x", "--no-wait", "--json"), 4)
        assert (error["kind"], "db" in error["message"], "--ignore-limits" in error["hint"]) == (
            "not_possible",
            True,
            True,
        )
        waiter = bench.start("run", "fine", "--tag", "db=x", "--json")
        bench.wait_until(lambda: len(bench.json("runs", "list")) == 2, "the run that waits")
        waiting = [run for run in bench.json("runs", "list") if run["waits_for"]]
        assert waiting[0]["waits_for"] == bench.json("runs", "show", waiting[0]["run_id"])["waits_for"]
        waiter.send_signal(signal.SIGINT)
        out, _ = waiter.communicate(timeout=30)
        assert (waiter.returncode, json.loads(out)["error"]["kind"]) == (130, "interrupted")
        (bench.path / "go_on").touch()
        assert holder.wait(timeout=30) == 0


def test_a_daemon_starts_tells_and_stops_in_json(bench):
    bench.write(PIPELINES)
    started = json.loads(bench("daemon", "start", "--detach", "--json").ok().out)
    status = bench.json("daemon", "status")
    assert (status["running"], status["pid"], status["error"]) == (True, started["pid"], None)
    lines = [json.loads(line) for line in bench.here("daemon", "logs", "--json").ok().out.splitlines()]
    assert any(line["level"] == "info" and "daemon started" in line["message"] and line["at"] for line in lines)
    assert bench.json("daemon", "stop") == {"stopped": True}
    assert bench.json("daemon", "stop") == {"stopped": False}
    absent = bench.json("daemon", "status")
    assert (absent["running"], absent["locations"], absent["queue"]["waiting"]) == (False, [], {})
    assert absent["error"]["kind"] == "daemon"


@pytest.mark.long
def test_what_follows_live_is_one_object_a_line(bench):
    bench.write(PIPELINES)
    bench("run", "fine", "--detach").ok()
    bench.here("sensor", "start", "files").ok()
    bench("daemon", "tick").ok()
    for arguments in (["sensor", "ticks", "--tail"], ["sensor", "logs", "--follow"], ["daemon", "logs", "--follow"]):
        to = bench.path / "-".join(arguments)
        follower = bench.start(*arguments, "--json", to=to)
        bench.wait_until(lambda to=to: b"\n" in to.read_bytes(), arguments)
        follower.send_signal(signal.SIGINT)
        follower.wait(timeout=30)
        said = [line for line in to.read_text().splitlines() if line != "Interrupted."]
        assert all(isinstance(json.loads(line), dict) for line in said), said


def test_a_value_that_json_lacks_is_text(made):
    assert made.json("sql", "SELECT TIME '01:02:03' AS t, {'a': 1} AS s, 'x'::BLOB AS b, 1.5::DECIMAL(4,1) AS d")
