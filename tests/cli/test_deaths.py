"""A step can die in every way a process can; its run says how, its siblings finish, and nothing hangs."""

import pytest

PIPELINES = """
    import ctypes, os, resource, signal, subprocess, sys, time
    from orchestrator import RetryPolicy, pipeline, step

    @step
    def sigkill() -> int:
        os.kill(os.getpid(), signal.SIGKILL)

    @step
    def segfault() -> int:
        ctypes.string_at(0)

    @step
    def abort() -> int:
        os.abort()

    @step
    def exit_7() -> int:
        os._exit(7)

    @step
    def exit_0() -> int:
        os._exit(0)

    @step
    def sys_exit() -> int:
        sys.exit("enough")

    @step
    def memory() -> int:
        # A ceiling on the address space is how memory ends for one process alone.
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
        kept = []
        while True:
            kept.append(bytearray(8 << 20))

    @step
    def endless() -> int:
        def deeper():
            return deeper()
        return deeper()

    @step
    def needs(value: int):
        pass

    @step
    def sibling():
        time.sleep(0.3)

    @step(retry=RetryPolicy(max_retries=1))
    def second_time_lucky(context):
        if context.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    @pipeline
    def everything():
        needs(sigkill()); segfault(); abort(); exit_7(); exit_0(); sys_exit(); memory(); endless()
        sibling(); second_time_lucky()

    @step
    def prints():
        libc = ctypes.CDLL(None)
        libc.puts(b"C with a buffer")
        os.write(1, b"a descriptor\\n")
        os.system("echo a shell")
        subprocess.run(["sh", "-c", "echo a child; echo an error of a child >&2"])
        print("Python, no end of line", end="")

    @pipeline
    def talk():
        prints()

    @step(timeout=0.3)
    def slow():
        subprocess.Popen(["sleep", "1000"])
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        time.sleep(1000)

    @pipeline
    def late():
        slow(); sibling()
"""


@pytest.fixture
def deaths(bench):
    return bench.write(PIPELINES)


@pytest.fixture(params=["fork", "spawn"])
def isolated(deaths, request):
    return deaths.settings(f"locations: [{{name: main, file: pipelines.py, isolation: {request.param}}}]")


def test_every_death_is_named_and_keeps_nothing_else_from_finishing(isolated):
    done = isolated("run", "everything", "--json")
    assert done.code == 1
    steps = {step["key"]: step for step in isolated.json("runs", "show", "last")["steps"]}
    told = {
        "sigkill": "killed by SIGKILL",
        "segfault": "killed by SIGSEGV",
        "abort": "killed by SIGABRT",
        "exit_7": "exit code 7",
        "exit_0": "exit code 0",
        "sys_exit": "SystemExit: enough",
        "memory": "MemoryError",
        "endless": "RecursionError",
    }
    assert {key: told[key] in str(steps[key]["error"]) for key in told} == dict.fromkeys(told, True), steps
    assert {key for key, step in steps.items() if step["status"] == "FAILURE"} == told.keys()
    assert steps["sibling"]["status"] == "SUCCESS"
    assert (steps["second_time_lucky"]["status"], steps["second_time_lucky"]["attempts"]) == ("SUCCESS", 2)
    assert steps["needs"]["status"] == "ABANDONED"
    isolated.here("state", "check").ok()


def test_a_crash_in_c_shows_the_line_of_python_that_led_to_it(deaths):
    out = deaths("run", "everything").out
    assert "Segmentation fault" in out
    assert "pipelines.py" in out
    assert "in segfault" in out


def test_endless_recursion_is_told_in_a_few_lines(deaths):
    out = deaths("run", "everything", "--select", "endless").out
    assert "(the same again and again)" in out
    assert len(out.splitlines()) < 20, out


def test_what_c_and_children_print_is_kept(isolated):
    isolated("run", "talk").ok()
    (directory,) = isolated.state.glob("runs/*/steps/prints/1")
    said = (directory / "stdout.log").read_text()
    for line in ("C with a buffer\n", "a descriptor\n", "a shell\n", "a child\n", "Python, no end of line"):
        assert line in said
    assert (directory / "stderr.log").read_text() == "an error of a child\n"


def test_a_step_that_takes_too_long_is_ended_with_everything_it_started(isolated):
    assert isolated("run", "late").code == 1
    steps = {step["key"]: step for step in isolated.json("runs", "show", "last")["steps"]}
    assert "did not finish within its timeout of 0.3 seconds" in str(steps["slow"]["error"])
    assert steps["sibling"]["status"] == "SUCCESS"
    isolated.wait_until(lambda: isolated.processes() == [], "every process to end")
