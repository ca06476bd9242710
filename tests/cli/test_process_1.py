"""As process 1 of a container: orphans are reaped, and signals reach the program."""

import os
import signal
import subprocess
import sys

import pytest

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
CAN_UNSHARE = (
    sys.platform == "linux"
    and os.getuid() == 0
    and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
)
pytestmark = pytest.mark.skipif(not CAN_UNSHARE, reason="only root may make a process namespace, and not everywhere")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def start(bench, *arguments):
    """(the command that waits, the pid of process 1 as it is out here)"""
    process = subprocess.Popen(
        [*UNSHARE, sys.executable, "-m", "orchestrator", *arguments],
        cwd=bench.path,
        env=bench._environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    bench._started.append(process)
    bench.wait_until(lambda: children(process.pid), "process 1 to be there")
    return process, children(process.pid)[0]


def test_a_daemon_as_process_1_leaves_no_zombies_and_stops_when_it_is_told_to(bench):
    bench.write("""
        import subprocess
        from orchestrator import SkipReason, pipeline, sensor, step

        @step
        def nothing(): ...

        @pipeline
        def empty():
            nothing()

        @sensor(pipeline=empty, interval=0.2, default_on=True)
        def leaves_orphans(context):
            subprocess.run("(sleep 0.01 &)", shell=True)
            with open("ledger", "a") as ledger:
                ledger.write("tick\\n")
            return SkipReason("nothing to do")
    """)
    process, first = start(bench, "daemon", "start")
    bench.wait_until(lambda: len(bench.ledger()) >= 5, "some ticks")
    bench.wait_until(lambda: not [one for one in children(first) if state(one) == "Z"], "every orphan to be reaped")
    os.kill(first, signal.SIGTERM)
    assert process.wait(30) == 0, process.stdout.read()


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("raise ValueError", 1)])
def test_a_command_as_process_1_ends_with_its_own_code(bench, code, expected):
    bench.write(f"""
        from orchestrator import pipeline, step

        @step
        def it():
            {code}

        @pipeline
        def p():
            it()
    """)
    process, _ = start(bench, "run", "p")
    assert process.wait(30) == expected, process.stdout.read()
