"""A disk that fills up, and a database that cannot be read: told in a sentence, and got over afterwards."""

import shutil
import subprocess

import pytest

from tests.conftest import ORCHESTRATOR

IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture
def full(bench):
    """A script of commands in a workspace whose state lies on a disk of two megabytes. `$O` is the program."""
    mount = "mount -t tmpfs -o size=2m tmpfs disk"
    bench.settings("{state_dir: disk/state, locations: [{name: main, file: pipelines.py}]}")
    (bench.path / "disk").mkdir()
    if not shutil.which("unshare") or subprocess.run([*IN_A_NAMESPACE, mount], cwd=bench.path).returncode:
        pytest.skip("a small disk cannot be mounted here")

    def run(script):
        done = subprocess.run(
            [*IN_A_NAMESPACE, f"{mount}; O='{' '.join(ORCHESTRATOR)}'; set +e; {script}"],
            cwd=bench.path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done
        return done

    return run


@pytest.mark.long
def test_a_full_disk_is_named_by_every_command_and_costs_nothing_once_there_is_room_again(full):
    done = full("""
        $O run small >/dev/null 2>&1 || exit 91
        $O run filling >/dev/null 2>&1
        for command in "runs list" "runs show last" "run small" "state check" "asset list"; do
            $O $command && exit 92
        done
        rm disk/filler
        $O runs list --json; $O state check && $O run --rerun last --select first
    """)
    assert done.returncode == 0, done
    assert done.stderr.count("The disk is full") >= 3, done
    assert "bug" not in done.stderr
    assert '"pipeline": "filling"' in done.stdout
    assert "The state is in order." in done.stdout


def test_a_disk_that_fills_up_before_there_is_a_database_leaves_none_that_is_damaged(full):
    done = full("""
        $O run filling >/dev/null 2>&1
        $O runs list && exit 92
        rm disk/filler
        $O runs list && $O state check
    """)
    assert done.returncode == 0, done
    assert "The disk is full" in done.stderr
    assert "The state is in order." in done.stdout


@pytest.mark.long
def test_a_backup_for_which_there_is_no_room_leaves_no_half_of_one(full):
    done = full("""
        $O run small >/dev/null 2>&1; $O runs list >/dev/null || exit 91
        head -c 1500000 /dev/zero > disk/filler
        $O state backup && exit 92
        ls disk/state/backups; rm disk/filler; $O state check
    """)
    assert done.returncode == 0, done
    assert "The disk is full" in done.stderr
    assert done.stdout == "The state is in order.\n"


@pytest.fixture
def damaged(bench):
    """A database that was overwritten, and a backup of what it was."""
    bench("run", "small").ok()
    backup = bench.json("state", "backup")["backup"]
    bench("run", "small").ok()
    bench.here("runs", "list").ok()
    bench.state.joinpath("state.duckdb").write_bytes(b"not a database" * 1000)
    return bench, backup


@pytest.mark.long
def test_a_damaged_database_says_what_can_be_done(damaged):
    bench, _ = damaged
    for command in (["runs", "list"], ["state", "check"], ["state", "backup"]):
        done = bench(*command)
        assert done.code == 5, done
        assert "is damaged" in done.err
        assert "orchestrator state restore" in done.err
    bench("run", "small").ok()


def test_a_backup_takes_the_place_of_a_damaged_database_and_journals_fill_in_the_rest(damaged):
    bench, backup = damaged
    restored = bench.here("state", "restore", backup, "--yes").ok()
    assert "-damaged.duckdb" in restored.out
    assert len(bench.json("runs", "list")) == 2
    bench.here("state", "check").ok()


def test_without_a_backup_the_index_is_made_anew_and_what_is_lost_is_said(damaged):
    bench, _ = damaged
    done = bench.here("state", "rebuild").ok()
    assert "Rebuilt the index from" in done.out
    assert "Ticks and cursors were only there" in done.err
    assert len(bench.json("runs", "list")) == 2
    bench.here("state", "check").ok()


def test_what_is_no_backup_is_refused_before_anything_is_touched(damaged):
    bench, _ = damaged
    before = (bench.state / "state.duckdb").read_bytes()
    done = bench.here("state", "restore", "pipelines.py", "--yes")
    assert done.code == 5, done
    assert (bench.state / "state.duckdb").read_bytes() == before
