"""A batch system that is a directory: `sbatch`, `squeue`, `sacct` and `scancel` are this file under those names.

A job is a file with its state, and a process of its own that starts the script and writes down how it ended. Files in
the directory make it misbehave:

    down      no command is answered
    slow      each command takes as many seconds as the file says
    refuse    submissions are refused
    lose      the next submission is accepted, and its answer lost
    mute      the next submission is accepted, and not answered while the file `silent` is there
    late      the next submission arrives once the file `held` is gone
    full      jobs wait in the queue
    broken    no job can begin
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ["FAKE_SLURM"])
JOBS = HOME / "jobs"
LIVE = ("PENDING", "RUNNING")


def read(job):
    return json.loads((JOBS / f"{job}.json").read_text())


def write(job, **changes):
    path = JOBS / f"{job}.json"
    content = (json.loads(path.read_text()) if path.exists() else {}) | changes
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(content))
    fresh.rename(path)


def wait_while(name):
    while (HOME / name).exists():
        time.sleep(0.02)


def named(options):
    """(job, its record) of the jobs with one of the names that were asked for."""
    names = options["name"].split(",")
    found = [(path.stem, json.loads(path.read_text())) for path in sorted(JOBS.glob("*.json"))]
    return [(job, one) for job, one in found if one["name"] in names]


def sbatch(options):
    if (HOME / "refuse").exists():
        sys.exit("sbatch: error: Batch job submission failed: Invalid partition name specified")
    if (HOME / "late").exists():
        (HOME / "late").rename(HOME / "held")
        wait_while("held")
    job = str(time.time_ns())
    write(job, name=options["job-name"], state="PENDING", options=options, exit="0:0")
    # The job has the environment of this command, as with `--export=ALL`.
    subprocess.Popen(
        [sys.executable, "-IS", __file__, "node", job, sys.stdin.read()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if (HOME / "lose").exists():
        (HOME / "lose").unlink()
        sys.exit("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
    if (HOME / "mute").exists():
        (HOME / "mute").rename(HOME / "silent")
        wait_while("silent")
    print(job)


def squeue(options):
    for _, one in named(options):
        if one["state"] in LIVE:
            print(f"{one['name']}|{one['state']}|{'Resources' if one['state'] == 'PENDING' else 'None'}")


def sacct(options):
    for _, one in named(options):
        print(f"{one['name']}|{one['state']}|{one['exit']}")


def scancel(options):
    for job, one in named(options):
        if one["state"] == "RUNNING":
            kill(one["pid"], signal.SIGTERM if options.get("signal") == "TERM" else signal.SIGKILL)
        if one["state"] in LIVE and "signal" not in options:
            write(job, state="CANCELLED by 1000")


def kill(pid, number):
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def node(job, script):
    """Runs a job as its machine does."""
    wait_while("full")
    if read(job)["state"] != "PENDING":
        return
    options = read(job)["options"]
    with open(options["error"].replace("%%", "%"), "ab") as errors:
        process = subprocess.Popen(
            ["/bin/sh", *(["-c", "echo no such interpreter >&2; exit 127"] if (HOME / "broken").exists() else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=options["chdir"],
            start_new_session=True,
        )
        write(job, state="RUNNING", pid=process.pid)
        process.communicate(script.encode())
    kill(process.pid, signal.SIGKILL)
    if read(job)["state"] == "RUNNING":  # else it was ended, and it is written down why
        code = process.returncode
        ended = f"0:{-code}" if code < 0 else f"{code}:0"
        write(job, state="COMPLETED" if code == 0 else "FAILED", exit=ended)


def main(program, arguments):
    if program == "node":
        return node(*arguments)
    options = dict(one.removeprefix("--").split("=", 1) for one in arguments if "=" in one)
    with open(HOME / "commands", "a") as commands:
        commands.write(f"{program}\n")
    if (HOME / "slow").exists():
        time.sleep(float((HOME / "slow").read_text()))
    if (HOME / "down").exists():
        sys.exit(f"{program}: error: Unable to contact slurm controller (connect failure)")
    return {"sbatch": sbatch, "squeue": squeue, "sacct": sacct, "scancel": scancel}[program](options)


if __name__ == "__main__":
    if sys.argv[1] == "node":
        main("node", sys.argv[2:])
    else:
        main(Path(sys.argv[1]).name, sys.argv[2:])
