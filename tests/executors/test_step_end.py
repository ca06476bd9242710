"""What a step leaves behind when its function returns, and that the step is not over before all of it is."""

import gzip
import os
import re
import zipfile

import pytest

from tests.conftest import Bench

PIPELINES = """
    import atexit, concurrent.futures, gzip, logging, logging.handlers, multiprocessing, os, subprocess, sys, tempfile
    import threading, time, weakref, zipfile
    from orchestrator import RetryPolicy, pipeline, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    def later(line):
        time.sleep(0.3)
        print("printed by", line)
        note(line)

    # What the module itself leaves to the end of the process that imports it.
    atexit.register(lambda: note(f"handler_of_the_module:{os.environ.get('ORCHESTRATOR_STEP')}"))
    KEPT = tempfile.TemporaryDirectory(dir=".")
    KEPT_FILE = open("of_the_module", "w")
    KEPT_FILE.write("written once")
    _files = []

    @step
    def thread():
        threading.Thread(target=later, args=("thread",)).start()

    @step
    def executor():
        pool = concurrent.futures.ThreadPoolExecutor(1)
        for number in range(3):
            pool.submit(later, f"executor_{number}")

    @step
    def process_pool():
        pool = concurrent.futures.ProcessPoolExecutor(1)
        pool.submit(later, "process_pool")

    @step
    def child():
        multiprocessing.get_context("fork").Process(target=later, args=("child",)).start()

    @step
    def daemonic_child():
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,), daemon=True).start()

    @step
    def handler():
        atexit.register(later, "handler")

    @step
    def handler_of_a_failure():
        atexit.register(note, "handler_of_a_failure")
        raise ValueError("on purpose")

    @step
    def finalizer():
        weakref.finalize(threading.main_thread(), note, "finalizer")

    @step
    def buffers():
        plain = open("plain", "w"); plain.write("plain")
        binary = open("binary", "wb"); binary.write(b"binary")
        packed = gzip.open("packed.gz", "wt"); packed.write("packed")
        archive = zipfile.ZipFile("archive.zip", "w"); archive.writestr("member", "archived")
        memory = logging.handlers.MemoryHandler(1000, target=logging.FileHandler("logged"))
        logging.getLogger("buffered").addHandler(memory)
        logging.getLogger("buffered").error("logged")
        _files.extend([plain, binary, packed, archive])

    @step
    def raising_thread():
        threading.Thread(target=lambda: 1 / 0, name="broken").start()
        atexit.register(lambda: [][1])

    @step
    def programs():
        subprocess.Popen(["sleep", "1000"])
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        subprocess.run("(setsid sleep 1000 &)", shell=True)

    @step
    def leaves_by_itself():
        subprocess.Popen(["sleep", "1000"])
        subprocess.run("(setsid sleep 1000 &)", shell=True)
        os._exit(3)

    @step
    def shared_memory():
        from multiprocessing import shared_memory
        shared_memory.SharedMemory(name=f"left_{os.getppid()}_{os.getpid()}", create=True, size=10)
        note(f"/dev/shm/left_{os.getppid()}_{os.getpid()}")

    @step
    def forkserver():
        process = multiprocessing.get_context("forkserver").Process(target=later, args=("forkserver",))
        process.start()

    @step
    def stops_to_look():
        breakpoint()

    @step
    def closes_its_streams():
        sys.stdout.close()
        sys.stderr = None
        os.close(2)

    @step
    def replaces_its_streams():
        sys.stdout = object()

    @step
    def twice():
        os.fork()

    @step
    def forks_and_exits():
        if os.fork() == 0:
            sys.exit(0)

    @step
    def forks_and_raises():
        if os.fork() == 0:
            raise ValueError("in the copy")
        os.wait()

    @step
    def pool_of_workers(context):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
            def say(): context.log.info("from a worker")
            worker = multiprocessing.get_context("fork").Process(target=say); worker.start(); worker.join()

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def code_75():
        note("code_75")
        os._exit(75)

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def code_86():
        note("code_86")
        os._exit(86)

    @pipeline
    def everything():
        for each in (thread, executor, process_pool, child, daemonic_child, handler, handler_of_a_failure, finalizer,
                     buffers, raising_thread, programs, leaves_by_itself, shared_memory, twice, forks_and_exits,
                     forks_and_raises, pool_of_workers, code_75, code_86, forkserver, stops_to_look,
                     closes_its_streams, replaces_its_streams):
            each()

    @step(timeout=1)
    def hangs_in_a_thread():
        threading.Thread(target=time.sleep, args=(1000,), name="the slow one").start()

    @step(timeout=1)
    def hangs_in_a_child():
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,), name="the slow one").start()

    @step(timeout=1)
    def hangs_in_a_handler():
        atexit.register(time.sleep, 1000)

    @pipeline
    def hanging():
        hangs_in_a_thread(), hangs_in_a_child(), hangs_in_a_handler()
"""


class Ended:
    """A run that is over, by the name of a step."""

    def __init__(self, bench, pipeline, *options):
        bench.write(PIPELINES)
        self.bench, self.run = bench, bench.json("run", pipeline, *options)
        self.steps = {step["key"]: step for step in self.run["steps"]}

    def status(self, step):
        return self.steps[step]["status"]

    def error(self, step):
        return self.steps[step]["error"]

    def log(self, step, stream="stdout"):
        (path,) = self.bench.state.glob(f"runs/{self.run['run_id']}/steps/{step}/1/{stream}.log")
        return path.read_text()


@pytest.fixture(scope="module", params=["fork", "spawn"])
def ended(request, tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp(request.param))
    bench.settings(
        f"locations: [{{name: main, file: pipelines.py, isolation: {request.param}}}]\n"
        "executor: {max_concurrent_steps: 4}"
    )
    ended = Ended(bench, "everything")
    ended.is_forked = request.param == "fork"
    yield ended
    bench.clean_up()


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("step", "lines"),
    [
        ("thread", ["thread"]),
        ("executor", ["executor_0", "executor_1", "executor_2"]),
        ("process_pool", ["process_pool"]),
        ("child", ["child"]),
        ("handler", ["handler"]),
        ("forkserver", ["forkserver"]),
    ],
)
def test_work_that_was_handed_on_is_done_and_its_output_kept(ended, step, lines):
    assert ended.status(step) == "SUCCESS"
    assert set(lines) <= set(ended.bench.ledger())
    assert all(f"printed by {line}" in ended.log(step) for line in lines)
    assert "left running" not in ended.log(step, "stderr")


def test_exit_handlers_run_after_a_failure_too(ended):
    assert ended.status("handler_of_a_failure") == "FAILURE"
    assert "handler_of_a_failure" in ended.bench.ledger()
    assert "finalizer" in ended.bench.ledger()


@pytest.mark.parametrize("step", ["closes_its_streams", "replaces_its_streams"])
def test_a_step_may_do_anything_to_its_streams(ended, step):
    assert ended.status(step) == "SUCCESS"


def test_a_breakpoint_fails_the_step_and_says_what_to_do(ended):
    assert ended.error("stops_to_look").startswith("NoTerminal: A debugger needs a terminal")
    assert "execute_in_process" in ended.error("stops_to_look")


def test_a_daemonic_child_is_terminated_as_python_does(ended):
    assert ended.status("daemonic_child") == "SUCCESS"
    assert "left running" not in ended.log("daemonic_child", "stderr")


def test_what_stands_in_a_buffer_is_written(ended):
    path = ended.bench.path
    assert (path / "plain").read_text() == "plain"
    assert (path / "binary").read_text() == "binary"
    assert gzip.decompress((path / "packed.gz").read_bytes()) == b"packed"
    assert zipfile.ZipFile(path / "archive.zip").read("member") == b"archived"
    assert "logged" in (path / "logged").read_text()


def test_an_exception_in_a_thread_or_an_exit_handler_is_printed_and_fails_nothing(ended):
    assert ended.status("raising_thread") == "SUCCESS"
    assert "ZeroDivisionError" in ended.log("raising_thread", "stderr")
    assert "IndexError" in ended.log("raising_thread", "stderr")


def test_programs_that_are_left_running_are_ended_and_named(ended):
    assert ended.status("programs") == "SUCCESS"
    # One of them is started by `setsid`, and has that name until it becomes `sleep`.
    said = r"ended 3 processes that the step had left running \((setsid|sleep), sleep, sleep\)"
    assert re.search(said, ended.log("programs", "stderr"))
    ended.bench.wait_until(lambda: not _sleepers(ended.bench), "every program to end")


def test_a_process_that_ends_by_itself_leaves_none_either(ended):
    assert "exit code 3" in ended.error("leaves_by_itself")
    ended.bench.wait_until(lambda: not _sleepers(ended.bench), "every program to end")


def test_shared_memory_that_was_left_is_removed(ended):
    (name,) = [line for line in ended.bench.ledger() if line.startswith("/dev/shm/")]
    ended.bench.wait_until(lambda: not os.path.exists(name), "the resource tracker to remove it")


@pytest.mark.parametrize("step", ["twice", "forks_and_exits", "forks_and_raises"])
def test_only_the_process_that_claimed_the_attempt_records_it(ended, step):
    assert ended.status(step) == "SUCCESS"
    events = [event for event in ended.bench.events(ended.run["run_id"]) if event.get("step") == step]
    assert [event["event"] for event in events].count("attempt_succeeded") == 1
    assert [event["n"] for event in events if "n" in event] == list(range(events[-1]["n"] + 1))


def test_what_a_copy_raises_is_printed(ended):
    assert "ValueError: in the copy" in ended.log("forks_and_raises", "stderr")


def test_workers_of_a_pool_are_told_to_stop_without_a_traceback(ended):
    assert ended.status("pool_of_workers") == "SUCCESS"
    assert ended.log("pool_of_workers", "stderr") == "INFO from a worker\n"


@pytest.mark.parametrize("code", [75, 86])
def test_no_exit_code_of_user_code_means_anything_to_us(ended, code):
    assert (
        ended.error(f"code_{code}")
        == f"ProcessExited: its process ended with exit code {code} before the step was over"
    )
    assert ended.bench.ledger().count(f"code_{code}") == 1


def test_what_the_module_registered_runs_where_it_was_imported(ended):
    """A forked step does not run it, or the module's temporary directory would be gone for the next one."""
    lines = [line for line in ended.bench.ledger() if line.startswith("handler_of_the_module:")]
    # A fork server's worker imports the module itself, and since Python 3.13 it runs exit handlers.
    steps = {line.partition(":")[2] for line in lines} - {"None", "forkserver"}
    assert bool(steps) is not ended.is_forked


def test_a_file_of_the_module_is_not_written_once_per_step(ended):
    if not ended.is_forked:
        pytest.skip("each process has opened a file of its own")
    ended.bench.wait_until(lambda: (ended.bench.path / "of_the_module").read_text(), "the location process to end")
    assert (ended.bench.path / "of_the_module").read_text() == "written once"


def test_a_timeout_holds_for_the_end_of_a_step_and_says_what_it_waited_for(bench):
    ended = Ended(bench, "hanging")
    why = "Timeout: it did not finish within its timeout of 1 seconds and was ended"
    waited_for = f"{why}; its function had returned, and it waited for"
    assert ended.error("hangs_in_a_thread") == f"{waited_for} thread 'the slow one'"
    assert ended.error("hangs_in_a_child") == f"{waited_for} process 'the slow one'"
    assert ended.error("hangs_in_a_handler") == f"{waited_for} its exit handlers (atexit)"
    bench.wait_until(lambda: not bench.processes(), "every process to end")


@pytest.mark.long
def test_in_process_a_step_waits_for_its_own_threads_and_the_process_for_the_rest(bench):
    for step in ("thread", "handler", "executor"):
        ended = Ended(bench, "everything", "--select", step, "--executor", "in_process")
        assert ended.status(step) == "SUCCESS"
        assert ("printed by" in ended.log(step)) is (step == "thread")
    bench.wait_until(lambda: {"handler", "executor_2"} <= set(bench.ledger()), "the location process to end")


def _sleepers(bench):
    found = []
    for pid in bench.processes():
        try:
            with open(f"/proc/{pid}/comm") as file:
                found += [pid] if file.read().strip() == "sleep" else []
        except OSError:
            continue
    return found
