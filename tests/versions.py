"""Runs the tests that depend most on Python itself with every other Python that the project promises and that is here,
and those that depend on libraries with the oldest that are allowed.

    python3 tests/versions.py                 each version once, in an environment of its own below .pythons/
    python3 tests/versions.py 3.13 -k guide   one version, with arguments for pytest
    python3 tests/versions.py --oldest        the oldest allowed dependencies, with this Python

Interpreters are looked for on the path and where pyenv keeps them. A version that is not found is named, and is no
failure: the machine decides which ones there are.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".pythons"
# What forks, logs, pickles, annotates and signals: the rest is arithmetic and SQL.
SELECTION = [
    "tests/guide",
    "tests/worker",
    "tests/executors",
    "tests/in_process",
    "tests/definitions",
    "tests/cli/test_run.py",
]
# With the oldest dependencies also what converts tables, parses and stores.
WITH_LIBRARIES = [*SELECTION, "tests/io_managers", "tests/catalog", "tests/test_cron.py"]


def main():
    if sys.argv[1:2] == ["--oldest"]:
        return 0 if tested("oldest", sys.executable, sys.argv[2:] or WITH_LIBRARIES) else 1
    wanted = [argument for argument in sys.argv[1:] if re.fullmatch(r"3\.\d+", argument)]
    given = [argument for argument in sys.argv[1:] if argument not in wanted]
    failed, missing = [], []
    for version in wanted or promised():
        if version == f"3.{sys.version_info[1]}" and not wanted:
            continue
        python = interpreter(version)
        if python is None:
            missing.append(version)
        elif not tested(version, python, given or SELECTION):
            failed.append(version)
    for version in missing:
        print(f"NOT RUN: there is no Python {version} on this machine", flush=True)
    for version in failed:
        print(f"FAILED: Python {version}", flush=True)
    return 1 if failed else 0


def promised():
    """The versions that the classifiers name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [found[1] for line in project["classifiers"] if (found := re.search(r":: (3\.\d+)$", line))]


def oldest():
    """A constraint for each direct dependency: the oldest version that is allowed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [re.match(r"([\w.-]+)(?:\[.*\])?>=([\d.]+)", text) for several in lists for text in several]
    return [f"{match[1]}=={match[2]}" for match in found if match]


def installed_oldest(programs, pip):
    """Whether uv could install the oldest versions: in seconds, where pip builds some of them for minutes. It reads
    none of pip's settings, so they are handed on."""
    handed_on = {"UV_FIND_LINKS": "PIP_FIND_LINKS", "UV_INDEX_URL": "PIP_INDEX_URL", "SSL_CERT_FILE": "PIP_CERT"}
    settings = {mine: os.environ[theirs] for mine, theirs in handed_on.items() if os.environ.get(theirs)}
    command = [programs / "uv", "pip", "install", "--quiet", "--python", programs / "python"]
    command += ["--resolution", "lowest-direct", "--editable", f"{ROOT}[dev]"]
    try:
        subprocess.run([*pip, "uv"], check=True)
        subprocess.run(command, check=True, env={**os.environ, **settings})
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"uv could not install them ({error}); pip does", flush=True)
        return False
    return True


def interpreter(version):
    """The path of an interpreter of that version; None if there is none."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [*sorted(kept.glob(f"{version}.*/bin/python"), reverse=True), shutil.which(f"python{version}")]
    for python in filter(None, candidates):
        said = subprocess.run([python, "--version"], capture_output=True, text=True).stdout
        if said.startswith(f"Python {version}."):
            return str(python)
    return None


def tested(version, python, arguments):
    """Whether the tests pass with that interpreter."""
    programs = environment(version, python)
    what = "the oldest dependencies" if version == "oldest" else f"Python {version}"
    print(f"$ pytest with {what}", flush=True)
    workers = str(max(3, (os.cpu_count() or 2) * 3 // 2))
    command = [programs / "python", "-m", "pytest", "-n", workers, "--dist", "worksteal", *arguments]
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}).returncode == 0


def environment(version, python):
    """The programs of an environment with the project and what its tests need, made when pyproject.toml changes."""
    directory = CACHE / version
    programs, stamp = directory / "bin", directory / "installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return programs
    print(f"making the environment {directory.name}", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", directory], check=True)
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if version != "oldest" or not installed_oldest(programs, pip):
        constraints = directory / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in oldest()) if version == "oldest" else "")
        subprocess.run([*pip, "--constraint", constraints, "--editable", f"{ROOT}[dev]"], check=True)
    stamp.write_text(wanted)
    return programs


if __name__ == "__main__":
    sys.exit(main())
