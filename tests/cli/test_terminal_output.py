"""What commands print: nothing of others that a terminal would obey, in any encoding and any width."""

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator.cli import live, output
from orchestrator.cli.output import Cell, Painter, table
from tests.cli.test_help import ALL
from tests.conftest import ORCHESTRATOR
from tests.test_terminal import OBEYED

ROOT = Path(orchestrator.__file__).parent

HOSTILE = r"""
    EVIL = "evil\x1b]52;c;aGk=\x07\x1b[2J\x9b2J\u202e\u2066\rend"

    from orchestrator import (
        AssetMaterialization, Expectation, Metadata, SkipReason, pipeline, schedule, sensor, step,
    )

    @step(tags={"tag": EVIL})
    def good(context, text: str = EVIL) -> str:
        print("printed", EVIL)
        context.log.warning("logged %s", EVIL)
        context.log_asset(AssetMaterialization("raw", description=EVIL, partition="p", metadata={
            "note": EVIL, "page": Metadata.markdown(EVIL), "rows": Metadata.table([{"a": EVIL}]),
        }))
        context.log_expectation(Expectation(False, label=EVIL[:6], description=EVIL))
        return text

    @step
    def bad(text: str) -> None:
        raise ValueError("raised " + EVIL) from KeyError(EVIL)

    @pipeline(tags={"t": EVIL})
    def work():
        "evil \x1b[2J\x07 \u202e doc"
        bad(good())

    @schedule(cron="0 3 * * *", pipeline=work)
    def nightly(context):
        print("asked", EVIL)
        return SkipReason("skipped " + EVIL)

    @sensor(pipeline=work, interval=1)
    def looks(context):
        print("asked", EVIL)
        context.update_cursor("cursor" + EVIL)
        raise OSError("refused " + EVIL)
"""
EVIL = "evil\x1b]52;c;aGk=\x07\x1b[2J\x9b2J\u202e\u2066\rend"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    from tests.conftest import Bench

    bench = Bench(tmp_path_factory.mktemp("hostile"))
    bench.write(HOSTILE)
    (bench.path / "broken.py").write_text(f"raise ValueError({EVIL!r})\n")
    bench.settings("locations: [{name: main, file: pipelines.py}, {name: broken, file: broken.py}]")
    assert bench("run", "main/work", "--tag", f"who={EVIL}").code == 1
    bench.here("sensor", "start", "looks")
    bench.here("schedule", "start", "nightly")
    bench("daemon", "tick")
    yield bench
    bench.clean_up()


COMMANDS = [
    ["runs", "list"],
    ["runs", "show", "last"],
    ["runs", "show", "last", "--steps"],
    ["runs", "logs", "last"],
    ["runs", "logs", "last", "--times"],
    ["runs", "events", "last"],
    ["runs", "wait", EVIL],
    ["runs", "list", "--status", EVIL],
    ["asset", "list"],
    ["asset", "show", "raw"],
    ["asset", "history", "raw"],
    ["asset", "show", EVIL],
    ["status"],
    ["config", "check"],
    ["config", "show"],
    ["pipeline", "list"],
    ["pipeline", "show", "work"],
    ["pipeline", "config", "work"],
    ["pipeline", "show", EVIL],
    ["schedule", "list"],
    ["schedule", "ticks"],
    ["schedule", "logs"],
    ["schedule", "preview", "nightly"],
    ["schedule", "next", "--cron", EVIL],
    ["sensor", "list"],
    ["sensor", "ticks", "looks"],
    ["sensor", "logs"],
    ["sensor", "preview", "looks"],
    ["sensor", "cursor", "looks"],
    ["sensor", "deliveries"],
    ["simulate", "--to", "+2d"],
    ["kubernetes", "manifest", EVIL],
    ["daemon", "logs"],
    ["daemon", "status"],
    ["sql", "FROM events"],
    ["sql", "SELECT tags AS a FROM runs"],
    ["sql", f"SELECT '{EVIL}' AS \"{EVIL}\""],
    ["state", "check"],
    ["state", "restore", EVIL],
    ["run", EVIL],
    ["run", "main/work", "--set", EVIL],
    ["run", "main/work", "--tag", EVIL],
    [EVIL],
    ["runs", "list", f"--{EVIL}"],
]
# These show nothing but our own words and what was typed.
OWN_WORDS = {
    *[("init",), ("completion",), ("daemon", "start"), ("daemon", "stop"), ("daemon", "tick"), ("daemon", "install")],
    *[("daemon", "uninstall"), ("runs", "cancel"), ("runs", "resume"), ("runs", "acknowledge"), ("runs", "delete")],
    *[("state", "backup"), ("state", "compact"), ("state", "rebuild"), ("asset", "wipe")],
    *[(noun, verb) for noun in ("schedule", "sensor") for verb in ("start", "stop", "forget")],
    *[("sensor", "retry"), ("sensor", "acknowledge")],
    *[("kubernetes", verb) for verb in ("check", "jobs", "rbac")],
}


@pytest.mark.parametrize(
    "command",
    COMMANDS,
    ids=lambda command: " ".join(command).encode("ascii", "backslashreplace").decode()[:50],
)
@pytest.mark.sample(10)
def test_no_command_shows_what_a_terminal_would_obey(hostile, command):
    done = hostile.here(*command)
    assert done.out or done.err
    assert not OBEYED & set(done.out + done.err), done
    assert "Traceback" not in done.err or "broken" in done.err or "OSError" in done.err, done


def test_the_table_has_every_command():
    """A new one belongs into it, or among those that show nothing of others."""
    tried = {tuple(command[: len(words)]) for command in COMMANDS for words, _ in ALL}
    assert {words for words, _ in ALL} - tried - OWN_WORDS == set()


@pytest.mark.parametrize(
    "command",
    [
        ["runs", "show", "last"],
        ["runs", "logs", "last"],
        ["runs", "events", "last"],
        ["asset", "show", "raw"],
        ["sensor", "logs"],
        ["status"],
        ["sql", "SELECT tags FROM runs"],
    ],
    ids=" ".join,
)
def test_json_is_exact_and_safe_to_show_too(hostile, command):
    done = hostile.here(*command, "--json")
    assert not OBEYED & set(done.out)
    if command[:2] != ["runs", "logs"]:
        assert "evil" in json.dumps(json.loads(done.out))


def test_json_gives_back_what_was_put_in(hostile):
    (row,) = json.loads(hostile.here("sql", f"SELECT '{EVIL}' AS value", "--json").ok().out)
    assert row["value"] == EVIL


def test_the_daemons_log_holds_nothing_that_is_obeyed(hostile):
    text = (hostile.state / "daemon.log").read_text()
    assert "refused evil" in text
    assert not OBEYED & set(text)


def test_a_run_shows_nothing_of_its_user_that_is_obeyed(hostile):
    done = hostile("run", "main/work")
    assert "raised evil" in done.out
    assert not OBEYED & set(done.out + done.err), done


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_all_printing_goes_through_one_module():
    """A command that prints by itself would show what is not ours as it is."""
    writes = ("print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write")
    for path in (ROOT / "cli").glob("*.py"):
        if path.name != "output.py":
            tree = ast.parse(path.read_text())
            assert not [call for call in calls(tree) if call in writes], path.name
            assert path.name == "live.py" or "rich" not in {
                name.split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
            }, path.name


def test_our_own_colors_stay_and_those_of_others_go(monkeypatch):
    paint = Painter(True)
    shown = output.shown("a " + paint("31", "red \x1b[8mhidden") + " \x1b[8mb")
    assert shown == "a \x1b[31mred hidden\x1b[0m b"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in output.shown(table(["A"], [[Cell("\x1b[5mx", "32")]]))


TOUR = [
    ["run", "hello"], ["runs", "show", "last"], ["runs", "list"], ["pipeline", "show", "hello"], ["asset", "list"],
    ["schedule", "list"], ["status"], ["run", "--help"],
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "latin-1", "C"],
)
def test_the_tour_works_where_the_terminal_is_not_unicode(bench, environment):
    bench("init", **environment).ok()
    for command in TOUR:
        done = bench(*command, **environment)
        assert done.code == 0, done
        assert "Traceback" not in done.err
    assert "\nok " not in done.out
    if "PYTHONIOENCODING" not in environment:
        assert "ok SUCCESS  hello" in bench("runs", "show", "last", **environment).out


def test_json_is_the_same_in_ascii(bench):
    bench.write("")
    query = "SELECT 'süß ✓ 😀' AS value"
    assert bench.json("sql", query) == json.loads(bench("sql", query, "--json", PYTHONIOENCODING="ascii").ok().out)


@pytest.fixture
def columns(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    def set_to(number):
        monkeypatch.setenv("COLUMNS", str(number))

    return set_to


ROWS = [["7k2mabcdefgh", "a very long description of something", "SUCCESS", "x" * 60], ["b" * 12, "short", "", "y"]]


@pytest.mark.parametrize("width", [120, 100, 80, 60])
def test_a_redirected_table_is_as_wide_as_columns_says(columns, width):
    columns(width)
    lines = table(["RUN", "WHAT", "STATUS", "MORE"], ROWS).split("\n")
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("7k2mabcdefgh  ")


def test_where_no_table_fits_a_row_is_a_block_that_leaves_out_nothing(columns):
    columns(30)
    lines = table(["RUN", "WHAT", "STATUS", "MORE"], ROWS).split("\n")
    assert lines == [
        "7k2mabcdefgh",
        "  what a very long description of something",
        "  status SUCCESS",
        f"  more {'x' * 60}",
        "bbbbbbbbbbbb",
        "  what short",
        "  more y",
    ]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_live_view_never_fills_the_last_line_nor_a_line_to_the_end(monkeypatch):
    for name, value in {"COLUMNS": "40", "LINES": "10", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    view = live.LiveLines(screen, transient=True)
    assert view.size == (40, 9)
    view.show([[("▸ " + "x" * 60 + "\x1b[2J\n\x07", "36")]] * 50)
    drawn = screen.getvalue()
    view.close()
    assert drawn.count("\n") <= 8
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert "▸ " + "x" * 37 + "…" in plain
    assert "\x1b[2J" not in drawn
    assert "\x07" not in drawn


@pytest.mark.parametrize(
    "module",
    ["orchestrator.cli.app", "typer", "orchestrator.cli.outcome", "orchestrator.settings", "orchestrator.cli.run"],
)
def test_an_interrupt_while_it_is_imported_ends_it_with_a_word(bench, module):
    bench.write("")
    code = f"""
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from orchestrator.__main__ import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "hello"], cwd=bench.path, env=bench._environment({}), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"Interrupted.\n")


def test_a_working_directory_that_is_gone_is_said_and_is_no_bug(bench):
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *ORCHESTRATOR, "status"],
        cwd=bench.path, env=bench._environment({"PYTHONPATH": ROOT.parent}), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == ("error: The working directory was deleted.\nhint: Change to one that exists.\n")


@pytest.mark.parametrize("answer", ["n\n", "\n", ""], ids=["no", "return", "end of input"])
def test_a_question_that_is_not_answered_with_yes_changes_nothing_and_says_so(bench, monkeypatch, answer):
    bench.write("")
    backup = bench.here("state", "backup").ok().out.strip()
    asked = Terminal(answer)
    monkeypatch.setattr(sys, "stdin", asked)
    done = bench.here("state", "restore", backup)
    assert done.code == 130
    assert "Nothing was changed." in done.err
    assert "Interrupted" not in done.err


def test_a_backup_is_looked_for_before_anything_is_asked(bench):
    bench.write("")
    done = bench.here("state", "restore", "none")
    assert "There is no backup none." in done.err
    assert "--yes" not in done.err
    assert "No backups yet" in bench.here("state", "restore").ok().err
    backup = bench.here("state", "backup").ok().out.strip()
    name = Path(backup).name
    assert name in bench.here("state", "restore").ok().out
    assert bench.json("state", "restore")["backups"][0]["path"] == backup
    bench.here("state", "restore", name, "--yes").ok()


def test_a_closed_stdout_is_no_bug(bench):
    bench.write("")
    bench.here("runs", "list").ok()
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *ORCHESTRATOR, "sql", "SELECT 1"],
        cwd=bench.path, env=bench._environment({}), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "1 row\n")


def test_no_resource_warning_at_the_end(bench):
    bench.write("")
    done = subprocess.run(
        [sys.executable, "-W", "error", *ORCHESTRATOR[1:], "config", "check"],
        cwd=bench.path, env={**bench._environment({}), "HOME": os.environ.get("HOME", "/")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
