"""The page examples/kubernetes/README.md, carried out: what a reader would type, on the cluster of the tests."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.readme import BLOCK, ROOT, Command, commands

EXAMPLE = ROOT / "examples" / "kubernetes"
PAGE = EXAMPLE / "README.md"
CLUSTER = ROOT / "tests" / "kubernetes" / "cluster"
HANGS_S = 400


def sections():
    """The blocks of commands of the page, by heading. Those of other kinds are for the reader alone."""
    found = {}
    for part in PAGE.read_text().split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        blocks = [commands(block) for language, block in BLOCK.findall(body) if language == "console"]
        found[heading] = [command for block in blocks for command in block]
    return found


def instructions():
    """The lines of the example's Dockerfile: [(instruction, what follows)]."""
    lines = (EXAMPLE / "Dockerfile").read_text().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def build_image(work, target):
    """Writes the image of the Dockerfile into a file, without Docker: with the Python that runs here in place of the
    one it is made from, and what the project's own environment has in place of the newest versions."""
    python = work / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", work / "environment"], check=True, timeout=HANGS_S)
    found = instructions()
    (install,) = [rest for word, rest in found if word == "RUN"]
    pip = [python, "-m", *[word for word in shlex.split(install) if word != "--no-cache-dir"]]
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "requirements-dev.lock")}
    subprocess.run(pip, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=HANGS_S)
    last = dict(found)
    source, to = last["COPY"].split()
    # In isolated mode: the variables of this process must not lead to another environment.
    command = [python, "-I", CLUSTER / "image", "flights:1", target, "--busybox", "--python"]
    command += ["--tree", f"{ROOT / source}:{Path(last['WORKDIR']) / to}", "--workdir", last["WORKDIR"]]
    command += ["--user", last["USER"], *(word for pair in last["ENV"].split() for word in ("--env", pair))]
    subprocess.run(command, check=True, timeout=HANGS_S)


class Reader:
    """Types commands where the page says, in a copy of the example."""

    def __init__(self, directory, cluster, programs):
        for name in ("kubernetes", "flights"):
            ignored = shutil.ignore_patterns("out", ".orchestrator", "__pycache__")
            shutil.copytree(ROOT / "examples" / name, directory / name, ignore=ignored)
        self.path = directory / "kubernetes"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ORCHESTRATOR_", "FLIGHTS_", "KUBE"))
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), str(programs), kept.get("PATH", "")])
        self._environment = {
            **kept,
            "PATH": path,
            "KUBECONFIG": str(cluster.kubeconfig),
            "COLUMNS": "110",
            "TZ": "UTC",
            "TERM": "dumb",
        }

    def __call__(self, line):
        """A command line to its end."""
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=HANGS_S, **self._how())
        return Command(line, (done.stdout or done.stderr).splitlines(), done.returncode)

    def start(self, line, to):
        """Starts a command line, which prints into a file."""
        with open(to, "wb") as file:
            return subprocess.Popen(["/bin/sh", "-c", f"exec {line}"], stdout=file, stderr=file, **self._how())

    def _how(self):
        return {"cwd": self.path, "env": self._environment, "stdin": subprocess.DEVNULL}
