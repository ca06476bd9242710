"""Commands that need locations: they hold nothing while a module is imported, say what they wait for, and wait for no
more than they need.
"""

import json
import textwrap

import pytest

from orchestrator.cli import completers
from orchestrator.code_locations.pool import LocationPool
from orchestrator.errors import NotFound
from orchestrator.locks import is_locked
from orchestrator.service import status as status_module
from orchestrator.service import workspace as workspace_module
from orchestrator.service.workspace import Workspace, find_pipeline, load_locations
from orchestrator.state_dir import StateDir

GOOD = """
    from orchestrator import RunRequest, SkipReason, pipeline, schedule, sensor, step

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()

    @sensor(pipeline=work, interval=30)
    def look(context):
        return SkipReason("nothing new")

    @schedule(cron="0 3 * * *", pipeline=work)
    def nightly(context):
        return RunRequest()
"""
HANGS = """
    import time
    from pathlib import Path
    while not Path("go").exists():
        time.sleep(0.02)
    from orchestrator import pipeline, step

    @step
    def other() -> None: ...

    @pipeline
    def late():
        other()
"""


@pytest.fixture
def good(bench):
    return bench.write(GOOD)


@pytest.fixture
def hanging(bench):
    """A location that loads at once, and one that does not come to an end until the file `go` is there."""
    (bench.path / "good.py").write_text(textwrap.dedent(GOOD))
    (bench.path / "hangs.py").write_text(textwrap.dedent(HANGS))
    return bench.settings("locations: [{name: h, file: hangs.py}, {name: good, file: good.py}]")


COMMANDS = [
    "status",
    "pipeline list",
    "pipeline show work",
    "pipeline config work",
    "config check",
    "schedule list",
    "schedule start nightly",
    "schedule stop nightly",
    "schedule ticks nightly",
    "schedule next nightly",
    "sensor list",
    "sensor start look",
    "sensor ticks look",
    "sensor preview look",
    "sensor cursor look",
    "run work --detach",
    "simulate --to 2030-01-01",
]


@pytest.fixture
def watched(monkeypatch, bench):
    """How often this process has waited for a location; that it fails when it holds the state meanwhile."""
    waits = []
    wait_any = LocationPool.wait_any

    def checked(pool, *arguments, **more):
        waits.append(1)
        assert not is_locked(StateDir(bench.state).lock), "the state is held while user code is imported"
        wait_any(pool, *arguments, **more)

    monkeypatch.setattr(LocationPool, "wait_any", checked)
    return waits


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.sample(8)
def test_no_command_holds_the_state_while_it_waits_for_user_code(good, watched, command):
    if " stop " in command:
        good.here(*command.replace("stop", "start").split()).ok()
    done = good.here(*command.split())
    assert "held while" not in done.err, done
    assert watched, done


@pytest.mark.parametrize("schedules", [True, False])
def test_neither_does_completion_in_the_shell(good, watched, monkeypatch, schedules):
    monkeypatch.chdir(good.path)
    assert completers.automation_names(schedules=schedules) == (["nightly"] if schedules else ["look"])
    assert completers.pipeline_names() == ["work"]
    assert watched


def test_the_others_have_the_state_while_a_sensor_is_previewed(bench):
    """The sensor itself looks whether it can: it waits until another command has had the state."""
    bench.write(
        GOOD
        + textwrap.indent(
            textwrap.dedent("""
        @sensor(pipeline=work)
        def asks(context):
            import subprocess, sys
            told = subprocess.run([sys.executable, "-m", "orchestrator", "runs", "list", "--json"], capture_output=True)
            return SkipReason(told.stdout.decode() + told.stderr.decode())
    """),
            "    ",
        )
    )
    done = bench.here("sensor", "preview", "asks", "--json").ok()
    assert json.loads(done.out)["skip_reason"].strip() == "[]"


def test_what_is_waited_for_is_said_after_a_moment(hanging, monkeypatch):
    monkeypatch.setattr(workspace_module, "NOTICE_S", 0.0)
    said = []
    found = Workspace.find(str(hanging.path / ".orchestrator.yaml"))
    found.tell = lambda sentence: (said.append(sentence), (hanging.path / "go").touch())
    try:
        assert [one.error for one in load_locations(found)] == [None, None]
    finally:
        found.close()
    assert len(said) == 1
    assert said[0].startswith("waiting for location h")


def test_a_pipeline_that_was_found_is_not_kept_waiting_by_a_location_that_hangs(hanging):
    done = hanging("run", "work").ok()
    assert "not waiting for location h" in done.err
    assert hanging("run", "good/work").ok().err.count("waiting for") == 0


def test_a_pipeline_that_was_not_found_is_waited_for(hanging, monkeypatch):
    monkeypatch.setattr(workspace_module, "NOTICE_S", 0.0)
    found = Workspace.find(str(hanging.path / ".orchestrator.yaml"))
    found.tell = lambda _sentence: (hanging.path / "go").touch()
    try:
        assert find_pipeline(found, "late").location == "h"
        with pytest.raises(NotFound):
            find_pipeline(found, "later")
    finally:
        found.close()


def test_two_pipelines_of_one_name_are_noticed_even_if_one_comes_a_little_later(hanging):
    (hanging.path / "hangs.py").write_text("import time; time.sleep(0.3)\n" + textwrap.dedent(GOOD))
    done = hanging("run", "work")
    assert done.code == 4
    assert "Several locations" in done.err


@pytest.mark.long
def test_status_shows_what_it_has_and_the_location_as_loading(hanging, monkeypatch):
    monkeypatch.setattr(status_module, "_LOADING_S", 2.0)
    seen = hanging.json("status")
    assert {one["name"]: one["state"] for one in seen["locations"]} == {"h": "loading", "good": "loaded"}
    assert seen["ok"] is False
    assert any("h is still loading" in problem["sentence"] for problem in seen["problems"])
    shown = hanging.here("status")
    assert shown.code == 1
    assert "h     loading" in shown.out


def test_completion_gives_what_has_loaded_so_far(hanging, monkeypatch, capsys):
    monkeypatch.setattr(completers, "COMPLETION_S", 1.0)
    monkeypatch.chdir(hanging.path)
    assert completers.pipeline_names() == ["work"]
    assert completers.automation_names(schedules=True) == ["nightly"]
    assert capsys.readouterr().err == ""


def loaded_by_daemon(bench):
    told = json.loads(bench.here("daemon", "status", "--json").out)
    return {one["name"] for one in told.get("locations", ()) if one["state"] == "loaded"}


def test_with_a_daemon_nothing_is_loaded_here(hanging, monkeypatch):
    hanging.start("daemon", "start")
    hanging.wait_until(lambda: loaded_by_daemon(hanging) == {"good"}, "the daemon has loaded what can be")
    monkeypatch.setattr(LocationPool, "get", lambda _pool, name: pytest.fail(f"{name} was loaded here"))
    for command in ("sensor ticks look", "sensor start look", "sensor stop good/look", "schedule start nightly"):
        hanging.here(*command.split()).ok()
    listed = hanging.here("schedule", "list").ok()
    assert "nightly" in listed.out
    assert "Location 'h' is still loading" in listed.err
    assert hanging.here("status").out.count("loading") == 1


def test_with_a_daemon_what_was_written_a_moment_ago_is_found_all_the_same(good):
    good.start("daemon", "start")
    good.wait_until(lambda: loaded_by_daemon(good) == {"main"}, "the daemon has loaded it")
    good.write(GOOD.replace("def look", "def look_again"))
    good.here("sensor", "start", "look_again").ok()
