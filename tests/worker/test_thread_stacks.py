"""Which library a native thread belongs to, when it waits and when it runs."""

import json
import os
import platform
import subprocess
import sys

import pytest

LOOK = """
import json, os, threading
import numpy
from orchestrator.worker.thread_stacks import TASKS, libraries_of_start, libraries_of, read_memory_map

end = threading.Event()
python = threading.Thread(target=end.wait, daemon=True)
python.start()
memory = read_memory_map()
native = {int(entry.name) for entry in TASKS.iterdir()} - {os.getpid(), python.native_id}
found = {
    "native": [[*map(sorted, (libraries_of(tid, memory), libraries_of_start(tid, memory)))] for tid in native],
    "python": sorted(libraries_of_start(python.native_id, memory)),
    "no thread": sorted(libraries_of_start(1, memory)),
}
print(json.dumps(found))
"""


@pytest.mark.skipif(
    (sys.platform, platform.machine(), platform.libc_ver()[0]) != ("linux", "x86_64", "glibc"),
    reason="threads are recorded in another way here",
)
@pytest.mark.skipif(os.cpu_count() == 1, reason="OpenBLAS makes no thread on one core")
def test_a_thread_is_known_by_its_stack_and_by_the_function_it_started_with():
    # numpy's OpenBLAS makes a thread for each further core when it is imported, which spins for a while, then waits.
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    assert found["python"] == found["no thread"] == []
    assert found["native"]
    for now, started in found["native"]:
        assert now == started
        (library,) = started
        assert "openblas" in library
