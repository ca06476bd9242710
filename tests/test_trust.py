"""Whose workspace file and state directory are used, and whose are refused."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, StoreError
from orchestrator.layout import RunsDir
from orchestrator.settings import find_workspace
from orchestrator.state_dir import StateDir, check_usable, make_private, prepare
from orchestrator.trust import Facts, Identity, is_private_group, my_identity, objection, objection_to_ancestor

ME, ROOT, MALLORY = 1000, 0, 4711
FILE, DIRECTORY = stat.S_IFREG, stat.S_IFDIR
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away to another user, which only root can")


@pytest.mark.parametrize(
    ("owner", "mode", "private", "said"),
    [
        (ME, FILE | 0o644, False, None),
        (ROOT, FILE | 0o644, False, None),
        (MALLORY, FILE | 0o600, False, "belongs to user 4711"),
        (ME, FILE | 0o646, False, "every user (mode 0646)"),
        (ME, FILE | 0o664, False, "by the group"),
        (ME, FILE | 0o664, True, None),
        (ME, DIRECTORY | 0o777, True, "every user (mode 0777)"),
        (ME, DIRECTORY | 0o1777, False, None),
        (ROOT, DIRECTORY | 0o1777, False, None),
        (MALLORY, DIRECTORY | 0o1777, False, "belongs to user 4711"),
        (ME, DIRECTORY | 0o775, True, None),
        (ME, DIRECTORY | 0o2775, False, "by the group"),
    ],
)
def test_what_others_own_or_can_change_is_objected_to(owner, mode, private, said):
    found = objection(Facts(Path("x"), owner, 4711, mode, private), Identity(ME))
    assert found is None if said is None else said in found


def test_a_directory_further_up_may_belong_to_anyone_but_not_be_open_to_all():
    assert objection_to_ancestor(Facts(Path("/"), MALLORY, 0, DIRECTORY | 0o775)) is None
    assert objection_to_ancestor(Facts(Path("/tmp"), ROOT, 0, DIRECTORY | 0o1777)) is None
    assert "every user" in objection_to_ancestor(Facts(Path("/open"), ROOT, 0, DIRECTORY | 0o777))


def test_under_sudo_the_caller_is_trusted_and_otherwise_that_means_nothing():
    me = os.geteuid()
    assert my_identity({"SUDO_UID": "4711"}).trusts(4711) == (me == 0)
    assert not my_identity({"SUDO_UID": "x"}).trusts(4711)
    assert my_identity({}).trusts(me)


def test_a_group_without_a_name_has_no_members_here():
    assert is_private_group(987654, 1000)


# --- the workspace file ---


@pytest.fixture
def below(tmp_path):
    """A directory with a workspace file two levels up."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / ".orchestrator.yaml").write_text("")
    mine = tmp_path / "shared" / "mine" / "deep"
    mine.mkdir(parents=True)
    return mine


def refused(start):
    with pytest.raises(ConfigError) as caught:
        find_workspace(None, {}, start)
    return caught.value


def test_a_file_that_every_user_can_change_is_refused(below):
    file = below.parents[1] / ".orchestrator.yaml"
    assert find_workspace(None, {}, below) == file
    file.chmod(0o666)
    assert f"{file} can be changed by every user" in refused(below).message
    file.chmod(0o644)
    below.parents[1].chmod(0o777)
    assert f"{below.parents[1]} can be changed by every user" in refused(below).message
    below.parents[1].chmod(0o1777)
    assert find_workspace(None, {}, below) == file


def test_a_directory_open_to_all_further_up_is_refused(below, tmp_path):
    tmp_path.chmod(0o777)
    assert f"{tmp_path} can be changed by every user" in refused(below).message


@needs_root
@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_a_file_of_another_user_is_refused_unless_it_is_named(below, what):
    directory = below.parents[1]
    file = directory / ".orchestrator.yaml"
    if what == "link":
        (directory / "real").write_text("")
        file.unlink()
        file.symlink_to("real")
        os.chown(directory / "real", 4711, 4711)
    else:
        os.chown(file if what == "file" else directory, 4711, 4711)
    error = refused(below)
    assert "belongs to user 4711" in error.message
    assert f"--workspace {directory}" in error.hint
    assert f"ORCHESTRATOR_WORKSPACE={directory}" in error.hint
    assert find_workspace(None, {"ORCHESTRATOR_WORKSPACE": str(directory)}, below) == file
    assert find_workspace(str(file), {}, below) == file
    assert find_workspace(None, {"SUDO_UID": "4711"}, below) == file


@needs_root
def test_code_of_another_user_is_not_run_by_going_up(bench, tmp_path):
    bench.write("""
        from pathlib import Path
        Path("trap").touch()
        from orchestrator import pipeline, step

        @step
        def a(): ...

        @pipeline
        def p():
            a()
    """)
    for path in (bench.path, bench.path / ".orchestrator.yaml", bench.path / "pipelines.py"):
        os.chown(path, 4711, 4711)
    done = bench("pipeline", "list")
    assert done.code == 3
    assert not (bench.path / "trap").exists()
    assert "p" in bench("--workspace", str(bench.path), "pipeline", "list").ok().out


# --- the state directory ---


def said(path):
    with pytest.raises(StoreError) as caught:
        prepare(path)
    return str(caught.value)


def test_a_state_directory_that_others_can_write_is_refused(tmp_path):
    state = prepare(tmp_path / "state")
    state.path.chmod(0o777)
    assert "Other users can write" in said(state.path)
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o777
    state.path.chmod(0o702)
    assert "chmod 700" in said(state.path)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_an_empty_one_that_others_can_write_is_closed_as_a_new_volume_is(tmp_path, mode):
    path = tmp_path / "volume"
    path.mkdir()
    path.chmod(mode)
    check_usable(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode, "checking changes nothing"
    prepare(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_one_in_which_others_may_have_planted_something_is_not(tmp_path):
    path = tmp_path / "volume"
    (path / "storage").mkdir(parents=True)
    path.chmod(0o777)
    assert "Other users can write" in said(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711])
def test_one_that_others_can_only_read_is_closed_and_that_is_said(tmp_path, mode):
    state = prepare(tmp_path / "state")
    told = []
    prepare(state.path, told.append)
    assert told == []
    state.path.chmod(mode)
    prepare(state.path, told.append)
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert [f"mode {mode:04o}" in one for one in told] == [True]


@needs_root
def test_a_state_directory_of_another_user_is_refused(tmp_path):
    state = prepare(tmp_path / "state")
    os.chown(state.path, 4711, 4711)
    assert "belongs to user 4711" in said(state.path)


def test_a_link_to_a_state_directory_is_followed(tmp_path):
    real = prepare(tmp_path / "real").path
    (tmp_path / "link").symlink_to(real)
    assert prepare(tmp_path / "link").format_file.exists()


@pytest.mark.parametrize("target", ["empty", "full", "missing"])
def test_a_link_to_anything_else_is_refused_and_nothing_is_made_there(tmp_path, target):
    there = tmp_path / target
    if target != "missing":
        there.mkdir(mode=0o755)
    if target == "full":
        (there / "photo.jpg").touch()
    before = there.stat().st_mode if there.exists() else None
    (tmp_path / "link").symlink_to(there)
    assert "is a symbolic link to" in said(tmp_path / "link")
    assert (there.stat().st_mode if there.exists() else None) == before
    assert not (there / "format.json").exists()


@needs_root
def test_a_link_that_another_user_made_is_refused(tmp_path):
    real = prepare(tmp_path / "real").path
    (tmp_path / "link").symlink_to(real)
    os.lchown(tmp_path / "link", 4711, 4711)
    assert "a symbolic link that user 4711 made" in said(tmp_path / "link")


def test_everything_in_it_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        state = prepare(tmp_path / "state")
        make_private(RunsDir(state.path).run("r").attempt("a", 1).path)
        make_private(state.storage / "r" / "a" / "result")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in StateDir(state.path).path.rglob("*") if path.is_dir()}
    assert len(modes) == 10
    assert set(modes.values()) == {0o700}


def test_so_is_what_a_run_leaves(bench):
    bench.write("""
        from orchestrator import pipeline, step

        @step
        def a() -> int:
            return 1

        @pipeline
        def p():
            a()
    """)
    script = "import os, sys; os.umask(0); os.execv(sys.executable, [sys.executable, '-m', 'orchestrator', 'run', 'p'])"
    subprocess.run([sys.executable, "-c", script], cwd=bench.path, check=True, capture_output=True)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in bench.state.rglob("*")}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode & 0o077 for mode in found.values()} == {0}
