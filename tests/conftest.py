"""What tests of the whole program share: a workspace in a directory of its own, used as a person would use it."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import cache
from pathlib import Path

import pytest

from orchestrator.cli import outcome
from orchestrator.cli.app import app
from tests.warm import Warm, fits

ORCHESTRATOR = [sys.executable, "-m", "orchestrator"]
# Whoever starts the tests with `nohup` has hang-ups ignored in every process below, and then no terminal dies.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# A command that takes this long hangs.
HANGS_S = 30

# What is tested runs as it does for a person: compiled once. Where nothing may be compiled (some containers say so to
# every Python), each of the thousands of processes would compile the whole program for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@cache
def warm():
    """What starts the commands of this process of tests."""
    return Warm()


class Bench:
    """A workspace that is written, run and looked at.

    Calling it runs a command in a process of its own, as a shell does. `here` runs one in this process: for looking
    at what the process under test has left, and for setting things up.
    """

    def __init__(self, path):
        self.path = path
        self.state = path / ".orchestrator"
        self._started = []

    def write(self, source, file="pipelines.py"):
        """A module of pipelines."""
        (self.path / file).write_text(textwrap.dedent(source))
        if not (self.path / ".orchestrator.yaml").exists():
            self.settings(f"locations: [{{name: main, file: {file}}}]")
        return self

    def settings(self, text):
        (self.path / ".orchestrator.yaml").write_text(textwrap.dedent(text))
        return self

    def __call__(self, *arguments, **environment):
        """Runs a command to its end, in a process of its own."""
        command, given = [*ORCHESTRATOR, *map(str, arguments)], self._environment(environment)
        if fits(given):
            code, out, err = warm().run(arguments, self.path, given, HANGS_S)
        else:
            done = subprocess.run(command, cwd=self.path, env=given, capture_output=True, timeout=HANGS_S)
            code, out, err = done.returncode, done.stdout, done.stderr
        return Done(command, code, out.decode(errors="replace"), err.decode(errors="replace"))

    def here(self, *arguments, **environment):
        """Runs a command to its end in this process: everything but the start of a process."""
        out, err = io.StringIO(), io.StringIO()
        inherited, given = dict(os.environ), self._environment(environment)
        os.environ.clear()
        os.environ.update(given)
        try:
            with (
                _at_most(HANGS_S),
                contextlib.chdir(self.path),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = outcome.code_of(
                    lambda: app([*map(str, arguments)], standalone_mode=False, prog_name="orchestrator"),
                    json=outcome.wants_json([*map(str, arguments)]),
                )
        finally:
            os.environ.clear()
            os.environ.update(inherited)
        return Done([*ORCHESTRATOR, *map(str, arguments)], code, out.getvalue(), err.getvalue())

    def json(self, *arguments, **environment):
        """What a command prints with --json. One that runs something has a process of its own."""
        command = self if arguments[0] == "run" else self.here
        done = command(*arguments, "--json", **environment)
        assert done.out, done
        return json.loads(done.out)

    def start(self, *arguments, to=None, **environment):
        """Starts a command and leaves it running; it speaks into pipes, or into the file `to`."""
        with open(to or os.devnull, "wb") as file:
            process = subprocess.Popen(
                [*ORCHESTRATOR, *map(str, arguments)],
                cwd=self.path,
                env=self._environment(environment),
                stdout=file if to else subprocess.PIPE,
                stderr=file if to else subprocess.PIPE,
            )
        self._started.append(process)
        return process

    def ledger(self):
        """The lines that steps appended to the file `ledger`, in order."""
        try:
            return (self.path / "ledger").read_text().split()
        except FileNotFoundError:
            return []

    def events(self, run="last"):
        return self.json("runs", "events", run)

    def wait_until(self, condition, what="the condition"):
        """Returns once the condition holds. It must come true by itself: nothing is retried here."""
        began = asked = time.monotonic()
        while not condition():
            took = time.monotonic() - asked
            assert time.monotonic() - began < HANGS_S, f"{what} never came true"
            time.sleep(max(0.02, 2 * took))  # whoever asks all the time keeps it from happening
            asked = time.monotonic()

    def clean_up(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in self._leftovers():
            with contextlib.suppress(ProcessLookupError):  # one that ends by itself at this moment
                os.kill(pid, signal.SIGKILL)

    def processes(self):
        """The processes that still work for this workspace."""
        return list(self._leftovers())

    def _leftovers(self):
        for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.path.resolve()):
                    yield int(entry.name)
            except OSError:
                continue

    def _environment(self, more):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ORCHESTRATOR_") and k != "COLUMNS"}
        return {**inherited, "TERM": "dumb", **{name: str(value) for name, value in more.items()}}


@contextlib.contextmanager
def _at_most(seconds):
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Done:
    """A command that has ended."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def __repr__(self):
        return f"{' '.join(self.command[3:])} -> {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def ok(self):
        assert self.code == 0, self
        return self


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.clean_up()


@pytest.hookimpl(tryfirst=True)  # before -m selects by the marks that are given here
def pytest_collection_modifyitems(config, items):
    """What takes minutes is left out unless it is asked for with -m."""
    _mark_what_is_not_sampled(items)
    asked_for = config.getoption("-m")
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kubernetes)
        # What takes longest decides: `-m exhaustive` runs what is not sampled too, `-m long` nothing exhaustive.
        marks = ("chaos", "soak", "benchmark", "exhaustive", "long")
        longest = next((mark for mark in marks if item.get_closest_marker(mark)), None)
        on_a_cluster = "kubernetes" if item.get_closest_marker("kubernetes") else None
        wanted = [mark for mark in (on_a_cluster, longest) if mark is not None]
        if any(mark not in asked_for for mark in wanted):
            item.add_marker(pytest.mark.skip(reason=f"takes long; ask for it with -m '{' and '.join(wanted)}'"))


def _mark_what_is_not_sampled(items):
    """Of a test with the mark `sample(n)` only n parameters, evenly spread, stay in the plain suite."""
    groups = {}
    for item in items:
        mark = item.get_closest_marker("sample")
        if mark is not None:
            groups.setdefault((item.nodeid.split("[")[0], mark.args[0]), []).append(item)
    for (_, count), group in groups.items():
        step = (len(group) - 1) / max(1, count - 1)
        kept = {round(number * step) for number in range(count)}
        for number, item in enumerate(group):
            if number not in kept:
                item.add_marker(pytest.mark.long)
