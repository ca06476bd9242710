"""The lock file of development fits what the project asks for."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def asked_for():
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(text) for several in lists for text in several]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def locked():
    """The locked versions of each package: several where they depend on the version of Python."""
    versions = {}
    for line in (ROOT / "requirements-dev.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (exact,) = requirement.specifier
            versions.setdefault(canonicalize_name(requirement.name), []).append(exact.version)
    return versions


def test_everything_that_is_asked_for_is_locked_at_an_allowed_version():
    versions = locked()
    for requirement in asked_for():
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{requirement.name} is not in requirements-dev.lock: its first lines say how to make it"
        assert all(requirement.specifier.contains(version) for version in found), requirement
