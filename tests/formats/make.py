"""Makes the state directory that is kept of a release, with that release installed.

    python3 tests/formats/make.py VERSION COMMAND     COMMAND is its `orchestrator`, by its full path

Leaves `state-VERSION.tar.gz` beside this file. What is in it is said in `test_kept_state`.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(version, command):
    with tempfile.TemporaryDirectory(prefix="kept-") as directory:
        workspace = Path(directory)
        shutil.copy(HERE / "pipelines.py", workspace)
        (workspace / ".orchestrator.yaml").write_text("locations: [{name: main, file: pipelines.py}]\n")
        live(workspace, lambda *words: subprocess.run([command, *words], cwd=workspace), command)
        with tarfile.open(HERE / f"state-{version}.tar.gz", "w:gz") as archive:
            for name in (".orchestrator", ".orchestrator.yaml", "pipelines.py"):
                archive.add(workspace / name, f"./{name}", filter=anonymous)


def live(workspace, run, command):
    """What happens in the state directory, in this order."""
    run("run", "sales")
    with Present(workspace / "fail"):
        run("run", "sales")
    run("daemon", "tick")
    with Present(workspace / "wait"):
        interrupted = subprocess.Popen([command, "run", "slow"], cwd=workspace)
        while not list(workspace.glob(".orchestrator/runs/*/steps/waits/1/claim")):
            time.sleep(0.05)
        kill_all(workspace)
        interrupted.wait()
    run("run", "sales", "--detach", "--tag", "priority=5")


class Present:
    """A file that is there meanwhile."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.path.touch()

    def __exit__(self, *_):
        self.path.unlink()


def kill_all(workspace):
    """Kills every process that works in the workspace, the owner first, so that nothing is recorded of the deaths."""
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            if (entry / "cwd").resolve() == workspace.resolve():
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue


def anonymous(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main(*sys.argv[1:])
