"""Makes the project's own virtual environment, with nothing but the Python that runs this file."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
OLDEST = (3, 11)


def environment(extra: str) -> Path:
    """The environment's directory of programs, with the project and that extra installed.

    Installing is skipped when neither pyproject.toml nor the lock file has changed since the same extra was installed.
    What development needs has the versions of the lock file.
    """
    if sys.version_info < OLDEST:
        sys.exit(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}.")
    programs = ENVIRONMENT / "bin"
    stamp = ENVIRONMENT / f"installed-{extra}"
    read = (ROOT / "pyproject.toml").read_bytes() + LOCK.read_bytes()
    wanted = hashlib.sha256(read + str(ROOT).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return programs
    if not (programs / "python").exists():
        print(f"making a virtual environment in {ENVIRONMENT}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True)
    print(f"installing the project with its extra {extra!r}; this takes a minute or two", file=sys.stderr, flush=True)
    pip = [programs / "python", "-m", "pip", "install", "--progress-bar=off", "--disable-pip-version-check"]
    locked = ["--constraint", LOCK] if extra == "dev" else []
    _show_downloads([*pip, *locked, "--editable", f"{ROOT}[{extra}]"])
    stamp.write_text(wanted)
    return programs


def _show_downloads(command: list[str | Path]) -> None:
    """Runs pip and shows what it fetches, so that nobody waits for a silent program."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            if line.lstrip().startswith(("Downloading", "Installing collected")):
                print(f"  {line.strip()[:100]}", file=sys.stderr, flush=True)
    if pip.returncode != 0:
        sys.exit(f"pip could not install the project (exit code {pip.returncode}); what it said is above.")


def run(programs: Path, *command: str) -> int:
    """Runs a program of the environment in the project's directory; its exit code."""
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run([programs / command[0], *command[1:]], cwd=ROOT, env={**os.environ, "PATH": path}).returncode
