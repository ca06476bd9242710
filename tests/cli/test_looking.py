"""Looking at what happened: runs, events, logs, assets, SQL, the state, the status."""

import json
import re
import signal

import pytest

PIPELINES = """
    import os, sys
    from orchestrator import AssetMaterialization, DynamicOut, DynamicOutput, Metadata, pipeline, step

    @step(outputs=DynamicOut(str))
    def files():
        for key in ("a", "b"):
            yield DynamicOutput(key, key=key)

    @step
    def load(context, name: str) -> int:
        print("loading", name)
        print("careful", file=sys.stderr)
        context.log.warning("slow disk for %s", name)
        context.log_asset(
            AssetMaterialization(
                ["raw", name],
                description="One file.",
                metadata={"rows": 3, "head": Metadata.table([{"x": 1}, {"x": 2}]), "at": Metadata.path("/tmp/x")},
                partition="2026-01-01",
            )
        )
        if os.environ.get("FAIL") == name:
            raise ValueError(f"bad {name}")
        return 1

    @step
    def total(values: list[int]) -> int:
        return sum(values)

    @pipeline(tags={"team": "sales"})
    def loads():
        total(files().map(load).collect())
"""


@pytest.fixture
def loads(bench):
    return bench.write(PIPELINES)


@pytest.fixture
def done(loads):
    loads("run", "loads").ok()
    return loads


class TestRuns:
    def test_a_list_has_the_promised_shape_and_the_newest_first(self, done):
        done("run", "loads", FAIL="b")
        listed = done.json("runs", "list")
        assert [run["status"] for run in listed] == ["FAILURE", "SUCCESS"]
        assert list(listed[0])[:9] == [
            "run_id", "pipeline", "mode", "status", "created_at", "started_at", "finished_at", "tags", "trigger",
        ]  # fmt: skip

    def test_a_list_can_be_narrowed(self, done):
        done("run", "loads", FAIL="b")
        assert len(done.json("runs", "list", "--status", "failure")) == 1
        assert len(done.json("runs", "list", "--tag", "team=sales", "--pipeline", "loads", "--since", "1h")) == 2
        assert done.json("runs", "list", "--tag", "team=nobody") == []
        assert len(done.json("runs", "list", "--limit", "1")) == 1
        assert "and 1 older" in done.here("runs", "list", "--limit", "1").err

    def test_a_pipe_gets_whole_lines_without_colour(self, done):
        out = done.here("runs", "list").ok().out
        assert "\x1b" not in out
        assert len(out.splitlines()) == 2

    def test_one_run_is_shown_by_the_beginning_of_its_id(self, done):
        run_id = done.json("runs", "list")[0]["run_id"]
        assert done.json("runs", "show", run_id[:4])["run_id"] == run_id
        out = done.here("runs", "show", run_id).ok().out
        assert "✓ load[a]" in out
        assert "raw/a  [2026-01-01] rows 3, at /tmp/x" in out

    def test_a_run_says_who_asked_for_it_and_with_what(self, bench):
        bench.write("""
            from dataclasses import dataclass
            from orchestrator import RunRequest, pipeline, sensor, step

            @dataclass
            class Source:
                path: str
                rows: int = 5

            @step
            def read(config: Source) -> None: ...

            @pipeline(tags={"team": "sales"})
            def reading():
                read()

            @sensor(pipeline=reading, default_on=True)
            def arrivals(context):
                config = {"path": {"env": "INBOX"}, "rows": 7}
                return RunRequest("monday.csv", {"steps": {"read": {"config": config}}})
        """)
        bench("daemon", "tick", INBOX="/in").ok()
        out = bench("runs", "show", "last").ok().out
        assert "  asked   sensor main/arrivals, key monday.csv, 20" in out
        assert ", mode default\n" in out
        assert "  set     steps.read.config.path={env: INBOX}\n  set     steps.read.config.rows=7\n" in out
        assert "  tag     team=sales\n" in out

    def test_events_come_in_order_and_as_json(self, done):
        kinds = [event["event"] for event in done.events()]
        assert kinds[0] == "run_started"
        assert kinds[-1] == "run_finished"
        assert kinds.count("attempt_succeeded") == 4
        text = done.here("runs", "events", "last").ok().out
        assert len(text.splitlines()) == len(kinds)

    def test_logs_hold_what_was_printed_and_logged(self, done):
        out = done.here("runs", "logs", "last").ok().out
        assert "load[a] | loading a" in out
        assert "load[a] | careful" in out
        assert "load[b] | WARNING  slow disk for b" in out
        only = done.here("runs", "logs", "last", "--step", "load[b]").ok().out
        assert "load[a]" not in only
        lines = [json.loads(line) for line in done.here("runs", "logs", "last", "--json").ok().out.splitlines()]
        assert {line["stream"] for line in lines} == {"stdout", "stderr", "log"}

    def test_logs_come_in_the_order_of_writing_from_every_stream(self, bench):
        bench.write("""
            import logging, os, subprocess, sys
            from orchestrator import pipeline, step

            @step
            def talks(context):
                print("1 printed")
                print("2 to stderr", file=sys.stderr)
                context.log.info("3 logged")
                logging.getLogger("lib").info("4 by a library")
                print("5 printed again")
                subprocess.run(["sh", "-c", "echo 6 by a program"])
                print("7 in two ", end="")
                print("parts")
                context.log.warning("8 at the end\\n8 on two lines")

            @pipeline
            def talking():
                talks()
        """)
        bench("run", "talking").ok()
        out = bench.here("runs", "logs", "last").ok().out
        assert out == (
            "talks | 1 printed\n"
            "talks | 2 to stderr\n"
            "talks | INFO     3 logged\n"
            "talks | INFO     lib: 4 by a library\n"
            "talks | 5 printed again\n"
            "talks | 6 by a program\n"
            "talks | 7 in two parts\n"
            "talks | WARNING  8 at the end\n"
            "talks | 8 on two lines\n"
        )
        assert bench.here("runs", "logs", "last", "--tail", "3").ok().out == "".join(out.splitlines(True)[-3:])
        assert bench.here("runs", "logs", "last", "--times").ok().out.splitlines()[0].startswith("20")
        bench.here("state", "compact").ok()
        assert not list(bench.state.glob("runs/*/steps")), "it is packed"
        assert bench.here("runs", "logs", "last").ok().out == out

    def test_waiting_for_a_run_that_is_over_tells_how_it_ended(self, done):
        assert done("runs", "wait", "last").code == 0
        done("run", "loads", FAIL="a")
        assert done("runs", "wait", "last").code == 1

    def test_a_deleted_run_is_gone_with_its_values(self, done):
        run_id = done.json("runs", "list")[0]["run_id"]
        assert done.here("runs", "delete", run_id).code == 2, "nobody can be asked"
        done.here("runs", "delete", run_id[:5], "--yes").ok()
        assert done.json("runs", "list") == []
        assert not (done.state / "runs" / run_id).exists()
        assert not (done.state / "storage" / run_id).exists()
        assert done.json("asset", "list") == []

    def test_a_run_that_is_over_can_neither_be_cancelled_nor_resumed(self, done):
        for command in ("cancel", "resume"):
            refused = done("runs", command, "last")
            assert refused.code == 4
            assert "is over: SUCCESS" in refused.err


SLOW = """
    import os, time
    from orchestrator import pipeline, step

    @step
    def slow() -> int:
        print("one", flush=True)
        open("working", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.02)
        with open("ledger", "a") as ledger:
            ledger.write("slow\\n")
        print("two", flush=True)
        return 1

    @step
    def after(value: int):
        with open("ledger", "a") as ledger:
            ledger.write("after\\n")

    @pipeline
    def slowly():
        after(slow())
"""


class TestWhileItRuns:
    @pytest.fixture
    def running(self, bench):
        bench.write(SLOW)
        bench.owner = bench.start("run", "slowly")
        bench.wait_until((bench.path / "working").exists, "the step to work")
        return bench

    def go(self, bench):
        (bench.path / "go").touch()

    def test_it_is_listed_as_started(self, running):
        assert running.json("runs", "list")[0]["status"] == "STARTED"
        assert running.json("status")["active_runs"][0]["pipeline"] == "slowly"
        self.go(running)
        assert running.owner.wait() == 0

    def test_somebody_else_can_cancel_it(self, running):
        running("runs", "cancel", "last").ok()
        assert running.owner.wait() == 130
        assert running.json("runs", "show", "last")["status"] == "CANCELED"
        assert running.ledger() == []

    def test_somebody_else_can_follow_and_wait_for_it(self, running):
        events = running.start("runs", "events", "last", "--follow")
        logs = running.start("runs", "logs", "last", "--follow")
        waits = running.start("runs", "wait", "last")
        assert logs.stdout.readline() == b"slow | one\n"
        self.go(running)
        assert b"run_finished" in events.communicate()[0].splitlines()[-1]
        assert logs.communicate()[0] == b"slow | two\n"
        assert waits.wait() == 0

    def test_waiting_gives_up_when_told_to(self, running):
        gave_up = running("runs", "wait", "last", "--timeout", "200ms")
        assert gave_up.code == 8
        assert "is not over after 0.2 seconds" in gave_up.err
        self.go(running)

    def test_it_cannot_be_resumed_or_deleted(self, running):
        for command in (["resume", "last"], ["delete", "last", "--yes"]):
            refused = running("runs", *command)
            assert refused.code == 4
            assert "is being driven by another process" in refused.err
        shown = running.here("runs", "show", "last").ok().out
        assert "orchestrator runs resume" not in shown
        assert "orchestrator runs cancel " in shown
        self.go(running)
        assert running.owner.wait() == 0

    @pytest.mark.long
    def test_when_its_owner_is_killed_that_is_said_and_it_can_be_resumed(self, running):
        running.owner.send_signal(signal.SIGKILL)
        running.owner.wait()
        assert "owner gone" in running.here("runs", "list").out
        status = running.here("status")
        assert status.code == 1
        assert "has no owner: `orchestrator runs resume" in status.out
        shown = running.here("runs", "show", "last").ok().out
        assert "owner gone" in shown
        assert "orchestrator runs resume " in shown
        resuming = running.start("runs", "resume", "last")
        running.wait_until(lambda: any(e["event"] == "run_resumed" for e in running.events()), "the run to be resumed")
        self.go(running)
        assert resuming.wait() == 0
        assert running.ledger() == ["slow", "after"]
        running.here("status").ok()

    def test_when_its_owner_is_killed_it_can_still_be_cancelled(self, running):
        running.owner.send_signal(signal.SIGKILL)
        running.owner.wait()
        assert running("runs", "cancel", "last").code == 0
        assert running.json("runs", "show", "last")["status"] == "CANCELED"
        running.wait_until(lambda: running.processes() == [], "every process to end")

    def test_a_dead_terminal_leaves_a_run_that_can_be_resumed(self, running):
        running.owner.send_signal(signal.SIGHUP)
        running.owner.wait()
        self.go(running)
        running("runs", "resume", "last").ok()
        assert running.ledger() == ["slow", "after"]


class TestAssets:
    def test_the_catalog(self, done):
        assert [asset["asset"] for asset in done.json("asset", "list")] == [["raw", "a"], ["raw", "b"]]
        assert done.json("asset", "list", "raw/a")[0]["materializations"] == 1
        assert "raw/a" in done.here("asset", "list").ok().out

    def test_one_asset_with_its_table(self, done):
        out = done.here("asset", "show", "raw.a").ok().out
        assert re.search(r"raw/a\s+written 1 time", out)
        assert "One file." in out
        assert re.search(r"head\n  x\n  1\n  2", out)
        assert done.json("asset", "show", '["raw", "a"]')["last"]["metadata"]["rows"] == 3

    def test_history_by_partition(self, done):
        done("run", "loads").ok()
        assert len(done.json("asset", "history", "raw/a")) == 2
        assert len(done.json("asset", "history", "raw/a", "--partition", "2026-01-01")) == 2
        assert done.json("asset", "history", "raw/a", "--partition", "1999") == []

    def test_wiping_needs_a_yes_and_keeps_the_runs(self, done):
        assert done.here("asset", "wipe", "raw/a").code == 2
        assert "Wiped 1 asset." in done.here("asset", "wipe", "raw/a", "--yes").ok().out
        assert [asset["asset"] for asset in done.json("asset", "list")] == [["raw", "b"]]
        assert len(done.json("runs", "list")) == 1
        done.here("asset", "wipe", "--all", "--yes").ok()
        assert done.json("asset", "list") == []


class TestState:
    def test_sql(self, done):
        rows = done.json("sql", "SELECT step, status FROM steps ORDER BY step")
        assert rows[0] == {"step": "files", "status": "SUCCESS"}
        assert "4 rows" in done.here("sql", "SELECT step FROM steps").err

    def test_a_backup_restores(self, done):
        backup = done.json("state", "backup")["backup"]
        done("run", "loads").ok()
        before = done.json("runs", "list")
        done.here("state", "restore", backup, "--yes").ok()
        assert done.json("runs", "list") == before, "runs younger than the backup are in their journals"
        done.here("state", "check").ok()

    def test_rebuilding_from_the_journals_gives_the_same_index(self, done):
        done("run", "loads", FAIL="a")
        everything = [f"FROM {table} ORDER BY ALL" for table in ("runs", "events", "steps", "materializations")]
        before = [done.json("sql", statement) for statement in everything]
        done.here("state", "rebuild").ok()
        assert [done.json("sql", statement) for statement in everything] == before

    def test_a_lost_database_is_made_anew_from_the_journals(self, done):
        done.json("runs", "list")
        (done.state / "state.duckdb").unlink()
        (done.state / "state.duckdb.wal").unlink(missing_ok=True)
        assert len(done.json("runs", "list")) == 1, "it is made again by whoever opens it first"
        assert "was missing and was made again" in done.here("state", "check").err
        done.here("state", "check", "--repair").ok()
        done.here("state", "rebuild").ok()
        assert len(done.json("runs", "list")) == 1
        done.here("state", "check").ok()

    @pytest.mark.long
    def test_compaction_packs_runs_and_everything_can_still_be_looked_at(self, done):
        shown, events = done.json("runs", "show", "last"), done.events()
        logs = done.here("runs", "logs", "last").ok().out
        assert done.json("state", "compact")["packed"] == 1
        (run,) = (done.state / "runs").iterdir()
        assert sorted(path.name for path in run.iterdir()) == ["logs.tar.gz", "packed.jsonl.gz"]
        assert done.json("runs", "show", "last") == shown
        assert done.events() == events
        assert done.here("runs", "logs", "last").ok().out == logs
        done.here("state", "rebuild").ok()
        done.here("state", "check").ok()
        done("run", "--rerun", "last", "--select", "total").ok()

    def test_damage_is_found(self, done):
        (run,) = (done.state / "runs").iterdir()
        journal = run / "journal.jsonl"
        journal.write_bytes(journal.read_bytes().replace(b"run_finished", b"run_vanished"))
        found = done.here("state", "check")
        assert found.code == 5
        assert run.name in found.err


class TestStatus:
    def test_all_is_well(self, done):
        assert done.here("status").ok().out.startswith("✓ all is well")
        assert done.json("status")["ok"] is True

    def test_a_broken_location_is_shown_with_its_traceback_beside_the_one_that_works(self, done):
        done.write("1 / 0", "broken.py")
        done.settings("locations: [{name: main, file: pipelines.py}, {name: bad, file: broken.py}]")
        status = done.here("status")
        assert status.code == 1
        assert "✗ bad   broken" in status.out
        assert "ZeroDivisionError" in status.out
        assert "✓ main  loads" in status.out
        shown = done.json("status")
        assert [(location["name"], location["loaded"]) for location in shown["locations"]] == [
            ("main", True),
            ("bad", False),
        ]


class TestPipelines:
    def test_they_are_listed(self, loads):
        (listed,) = loads.json("pipeline", "list")
        assert (listed["name"], listed["location"], listed["steps"]) == ("loads", "main", 3)

    def test_a_graph_is_drawn(self, loads):
        out = loads.here("pipeline", "show", "loads").ok().out
        assert "files → result[*]" in out
        assert "╰─⇉ load[?]" in out
        assert "all of load[?]" in out
        assert loads.json("pipeline", "show", "loads")["plan"]["steps"][1]["key"] == "load[?]"

    def test_a_template_can_be_used_as_it_is(self, bench):
        bench.write("""
            from dataclasses import dataclass
            from typing import Literal
            from orchestrator import pipeline, step

            @dataclass
            class Inner:
                x: float = 1.5

            @dataclass
            class Config:
                n: int
                inner: Inner
                kind: Literal["a", "b"] = "a"

            @step
            def one(config: Config) -> int:
                return config.n

            @step
            def two(value: int, other: int = 2) -> int:
                return value

            @pipeline
            def inner(value):
                two(value)

            @pipeline
            def outer(start: int = 1):
                inner(one())
                two(start)
        """)
        text = bench.here("pipeline", "config", "outer").ok().out
        assert "n: ...   # integer, required" in text
        assert '# kind: "a"   # one of a, b' in text
        (bench.path / "config.yaml").write_text(text.replace("n: ...", "n: 3").replace("inner: ...", "inner: {x: 2}"))
        bench("run", "outer", "--config", "config.yaml").ok()


class TestConfig:
    def test_checking_says_what_loads(self, loads):
        assert "✓ loaded  main  loads" in loads.here("config", "check").ok().out
        loads.write("import nothing_there", "pipelines.py")
        broken = loads.here("config", "check")
        assert broken.code == 3
        assert "No module named 'nothing_there'" in broken.err

    def test_showing_has_every_setting(self, loads):
        shown = loads.json("config", "show")
        assert shown["executor"] == {"default": "subprocess", "max_concurrent_steps": 4}
        assert "max_concurrent_runs: 10" in loads.here("config", "show").ok().out


def test_init_makes_a_workspace_that_runs_and_passes_its_tests(bench):
    import subprocess
    import sys

    bench("init", "shop").ok()
    shop = type(bench)(bench.path / "shop")
    shop("run", "hello").ok()
    assert shop.json("asset", "list")[0]["asset"] == ["hello", "longest_words"]
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=shop.path, capture_output=True, text=True)
    assert tests.returncode == 0, tests.stdout
    refused = bench("init", "shop")
    assert refused.code == 4


def test_the_settings_that_are_shown_are_settings_again(bench):
    bench.write("")
    bench.settings("{locations: [{name: main, file: pipelines.py}], retention: {ticks: 36h, runs: 90}}")
    shown = bench.here("config", "show").ok().out
    assert "retention: {skipped_ticks: 7d, ticks: 36h, runs: 90.0}" in shown
    bench.settings(shown)
    assert bench.here("config", "show").ok().out == shown


@pytest.mark.long
def test_what_init_makes_waits_to_be_turned_on(bench):
    bench("init").ok()
    for noun in ("schedule", "sensor"):
        assert [one["on"] for one in bench.json(noun, "list")] == [False]
    bench.path.joinpath("inbox").mkdir()
    bench.path.joinpath("inbox", "a.txt").write_text("a tremendous text")
    assert "run_key: a.txt" in bench.here("sensor", "preview", "new_texts").ok().out
    bench.here("sensor", "start", "new_texts").ok()
    daemon = bench.start("daemon", "start")
    bench.wait_until(lambda: [run["status"] for run in bench.json("runs", "list")] == ["SUCCESS"], "a run of the text")
    assert "tremendous" in bench.here("runs", "logs", "last").ok().out
    bench("daemon", "stop").ok()
    daemon.wait(timeout=30)


def test_everything_init_prints_as_next_can_be_typed(bench):
    printed = bench("init").ok().out
    commands = [line.split("  ")[1].split() for line in printed.splitlines() if line.startswith("  orchestrator ")]
    assert len(commands) == 5
    for command in commands:
        if command[1:] != ["daemon", "start"]:
            bench(*command[1:]).ok()
