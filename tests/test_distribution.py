"""What hints say to install: the package that runs here, and never a stranger's."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from orchestrator import distribution
from orchestrator._version import __version__

ROOT = Path(distribution.__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_name_is_that_of_the_project():
    assert PROJECT["name"] == distribution.DISTRIBUTION
    assert PROJECT["scripts"] == {"orchestrator": "orchestrator.__main__:main"}


def test_the_extras_are_extras_of_ourselves():
    named = [line for lines in PROJECT["optional-dependencies"].values() for line in lines if "orchestrator" in line]
    assert named
    assert all(line.startswith(f"{distribution.DISTRIBUTION}[") for line in named)


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        (None, None),
        ("", None),
        ('{"url": "file:///home/ada/a%20clone", "dir_info": {"editable": true}}', "/home/ada/a clone"),
        ('{"url": "file:///tmp/x-0.1.0.whl", "archive_info": {"hash": "sha256=0"}}', "/tmp/x-0.1.0.whl"),
        (
            '{"url": "https://example.org/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "git+https://example.org/r.git@abc",
        ),
        ('{"url": "https://example.org/x.tar.gz", "archive_info": {}}', "https://example.org/x.tar.gz"),
    ],
)
def test_where_it_was_installed_from(direct_url, origin):
    assert distribution.origin_of(direct_url) == origin


@pytest.mark.parametrize(
    ("origin", "extra", "required"),
    [
        (None, "", f"orchestrator-data=={__version__}"),
        (None, "ui", f"orchestrator-data[ui]=={__version__}"),
        ("/home/ada/clone", "", "/home/ada/clone"),
        ("/home/ada/clone", "ui", "/home/ada/clone[ui]"),
        ("git+https://example.org/r@abc", "ui", "orchestrator-data[ui] @ git+https://example.org/r@abc"),
    ],
)
def test_what_pip_is_given(origin, extra, required):
    assert distribution.requirement(origin, extra) == required


def test_the_command_is_for_the_interpreter_that_lacks_us_and_can_be_copied():
    command = distribution.install_command("/opt/my env/bin/python")
    assert command.startswith("'/opt/my env/bin/python' -m pip install ")
    assert command.endswith(str(ROOT)), "these tests run from a checkout"


def test_nothing_in_the_project_says_to_install_a_stranger():
    """`orchestrator` on the package index is not ours, so nothing may name it in an install command or requirement."""
    stranger = re.compile(
        r"(pip|uv|pipx) (tool )?(install|run)[^\n`]*\borchestrator(?!-data)(==|\[|>=|\s|`|$)|uvx orchestrator\b"
    )
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("orchestrator/**/*.py"),
    ]
    assert len(texts) > 100
    assert [f"{path}: {found[0]}" for path in texts for found in [stranger.search(path.read_text())] if found] == []


def test_every_dependency_is_used():
    """A declared dependency that nothing imports is installed for nothing."""
    modules = {"pyyaml": "yaml"}
    source = "\n".join(path.read_text() for path in ROOT.glob("orchestrator/**/*.py"))
    for line in PROJECT["dependencies"]:
        name = re.match(r"[\w-]+", line)[0]
        assert re.search(rf"^\s*(from|import) {modules.get(name, name)}\b", source, re.MULTILINE), line


def test_the_interpreter_that_runs_is_one_that_the_project_names():
    named = [line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in named
