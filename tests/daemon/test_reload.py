"""Saving code has it loaded again, whatever the editor does; what runs keeps its code; what is broken breaks alone."""

import os
import textwrap

import pytest

from tests.daemon.held import HELD, begun, enqueue, go, statuses

SENSING = """
    from orchestrator import SkipReason, pipeline, sensor, step
    VERSION = {version!r}

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()

    @sensor(pipeline=work, interval=0.2, default_on=True)
    def look(context):
        return SkipReason(VERSION)
"""


@pytest.fixture
def sensing(bench, daemon):
    """A daemon with two locations that both have a sensor, which says in its ticks what version of the code it is."""
    for name in ("one", "two"):
        (bench.path / name).mkdir()
        save(bench, "first", name)
    bench.settings("""
        locations:
          - {name: one, file: code.py, working_dir: one}
          - {name: two, file: code.py, working_dir: two}
    """)
    daemon.start()
    for name in ("one", "two"):
        until_version(daemon, "first", name)
    yield daemon
    daemon.stop()
    daemon.process.communicate()


def save(bench, version, name="one", source=SENSING, file="code.py"):
    (bench.path / name / file).write_text(textwrap.dedent(source).format(version=version))


def versions(bench, name="one", last=1000):
    ticks = bench.json("sensor", "ticks", f"{name}/look", "--limit", last)
    return [tick["skip_reason"] for tick in reversed(ticks)]


def until_version(daemon, version, name="one"):
    daemon.until(lambda: version in versions(daemon.bench, name, last=3), f"version {version!r} of {name}")


def location(bench, name="one"):
    return next(one for one in bench.json("daemon", "status")["locations"] if one["name"] == name)


def loads(bench):
    """How often a location was loaded, as the log tells."""
    return (bench.state / "daemon.log").read_text().count("location loaded location=one")


def test_saving_in_any_manner_has_it_loaded_again(bench, sensing):
    save(bench, "written")
    until_version(sensing, "written")

    save(bench, "renamed", file="code.py.tmp")  # as vim and many others do it
    (bench.path / "one" / "code.py.tmp").replace(bench.path / "one" / "code.py")
    until_version(sensing, "renamed")

    code = bench.path / "one" / "code.py"
    save(bench, "old", file="older")
    os.utime(bench.path / "one" / "older", (1, 1))  # as unpacking does it: with the time that it had elsewhere
    code.unlink()
    (bench.path / "one" / "older").replace(code)
    until_version(sensing, "old")

    before = loads(bench)
    for number in range(20):  # as checking out another branch does it: many files, one after another
        save(bench, f"burst {number}")
        (bench.path / "one" / f"beside_{number}.py").write_text("")
    until_version(sensing, "burst 19")
    assert loads(bench) - before <= 3, "a burst is waited out"

    log = (bench.state / "daemon.log").read_text()
    for number in range(2000):  # what steps write beside the code wakes nobody
        (bench.path / "one" / "data.csv").write_text(str(number))
    assert (bench.state / "daemon.log").read_text() == log


@pytest.mark.long
def test_a_module_that_the_pipelines_import_has_them_loaded_again_too(bench, sensing):
    save(bench, "VERSION = 'helped'\n", source="{version}", file="helper.py")
    save(bench, "", source=SENSING.replace("VERSION = {version!r}", "from helper import VERSION"))
    until_version(sensing, "helped")
    save(bench, "VERSION = 'helped again'\n", source="{version}", file="helper.py")
    until_version(sensing, "helped again")

    save(bench, "VERSION = = 1\n", source="{version}", file="helper.py")
    sensing.until(lambda: location(bench)["state"] == "broken", "the broken helper")
    assert "helper.py" in location(bench)["traceback"]
    save(bench, "VERSION = 'mended'\n", source="{version}", file="helper.py")
    until_version(sensing, "mended")

    (bench.path / "one" / "helper.py").unlink()
    sensing.until(lambda: location(bench)["state"] == "broken", "the missing helper")
    save(bench, "VERSION = 'there'\n", source="{version}", file="helper.py")
    until_version(sensing, "there")


def test_what_does_not_import_is_broken_alone_and_heals_without_a_restart(bench, sensing):
    save(bench, "", source="def look(:\n")
    sensing.until(lambda: location(bench)["state"] == "broken", "the broken location")
    status = bench.here("status")
    assert status.code == 1
    assert "✗ one  broken" in status.out
    assert "SyntaxError" in status.out
    assert "code.py" in status.out
    count = len(versions(bench, "two"))
    sensing.until(lambda: len(versions(bench, "two")) > count + 2, "ticks of the other location")
    assert "one/look" in status.out, "its sensor is still on, and is shown"
    assert "definition is gone" not in status.out
    failures = (bench.state / "daemon.log").read_text().count("location broken")
    save(bench, "healed")
    until_version(sensing, "healed")
    assert (bench.state / "daemon.log").read_text().count("location broken") == failures == 1
    assert bench.here("status").code == 0


@pytest.mark.long
def test_a_file_saved_while_it_is_being_loaded_is_loaded_again(bench, sensing):
    def saved_while_it_waits(then, *version):
        gate, reading = (bench.path / "one" / f"{name} {version[0]}" for name in ("gate", "reading"))
        wait = (
            f"from pathlib import Path\nPath({reading.name!r}).touch()\nwhile not Path({gate.name!r}).exists(): pass\n"
        )
        save(bench, "old", source=wait + then)
        sensing.until(reading.exists, "python, which has read the file and waits in it")
        save(bench, *version)
        gate.touch()
        until_version(sensing, version[0])

    saved_while_it_waits(textwrap.dedent(SENSING), "newest")
    saved_while_it_waits("raise RuntimeError\n", "mended meanwhile")


@pytest.mark.long
def test_a_process_that_dies_while_it_is_imported_is_tried_ever_later_and_at_once_when_it_is_saved(bench, sensing):
    save(bench, "", source="import os\nos._exit(3)\n")
    sensing.until(lambda: location(bench)["restarts"] >= 2, "a second try")
    seen = location(bench)
    assert seen["state"] == "broken"
    assert "ended with exit code 3 (while its module was imported)" in seen["error"]
    status = bench.here("status")
    assert status.code == 1
    assert "ended with exit code 3" in status.out
    save(bench, "well")
    until_version(sensing, "well")
    assert bench.here("status").code == 0
    pauses = [line for line in (bench.state / "daemon.log").read_text().splitlines() if "next_try_s" in line]
    assert ["next_try_s=1.0" in pauses[0], "next_try_s=2.0" in pauses[1]] == [True, True]


def test_steps_that_run_keep_their_code_and_the_run_does_too(bench, daemon):
    bench.write(HELD)
    (run,) = enqueue(bench, "a", pipeline="chain")
    daemon.start()
    daemon.until(lambda: begun(bench) == ["a"], "the first step")
    bench.write(HELD.replace('note(what, "after")', 'note(what, "newer")'))
    daemon.until(lambda: "reloading" in (bench.state / "daemon.log").read_text(), "the reload")
    daemon.until(lambda: location(bench, "main")["state"] == "loaded", "the new code")
    go(bench)
    daemon.until(lambda: statuses(bench)[run] == "SUCCESS", "the end of the run")
    assert bench.ledger()[-1] == "a:after"
    (second,) = enqueue(bench, "b", pipeline="chain")
    daemon.until(lambda: statuses(bench)[second] == "SUCCESS", "the end of the next run")
    assert bench.ledger()[-1] == "b:newer"
    daemon.stop()
