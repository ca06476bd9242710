"""Entry point of a step process with `isolation: spawn`: a fresh interpreter that imports the module itself. What comes
after the import is the same as in a forked one.

`python -m orchestrator.worker.spawned TARGET CHANNEL PACKAGE WAKE`: the channel's address, and the descriptors of a
file with the AttemptPackage and of the pipe for hints. 0 for PACKAGE is standard input; WAKE may be None.
"""

from __future__ import annotations

import json
import os
import sys

from orchestrator.attempts.channel import WorkerChannel
from orchestrator.attempts.files import open_channel
from orchestrator.attempts.package import AttemptPackage, decode_package
from orchestrator.planning.plan import decode_plan
from orchestrator.worker.attempt import Wake, fail_attempt
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.children import attempt_process
from orchestrator.worker.debugger import refuse_breakpoints
from orchestrator.worker.loading import Target, load
from orchestrator.worker.output import flush_streams, install_streams


def main() -> None:
    """Makes the attempt."""
    target = Target(**json.loads(sys.argv[1]))
    channel = open_channel(sys.argv[2])
    package = decode_package(_contents(int(sys.argv[3])))
    wake = Wake(None if sys.argv[4] == "None" else int(sys.argv[4]))
    if wake.descriptor is not None:
        os.set_inheritable(wake.descriptor, False)
    make_attempt(target, package, channel, wake)


def _contents(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        contents = file.read()
    if descriptor == 0:  # the next file that user code opens must not become its standard input
        os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
    return contents


def make_attempt(target: Target, package: AttemptPackage, channel: WorkerChannel, wake: Wake) -> None:
    """Imports the module and makes the attempt in this process, which exists for nothing else."""
    install_streams()
    refuse_breakpoints()
    sys.argv = [target.file or str(target.module)]
    try:
        pipeline = load(target).pipeline(package.run.pipeline)
        bound = BoundRun(package.run, decode_plan(package.run.plan), pipeline, os.environ, masker=target.masker)
    except Exception as error:  # importing runs user code
        fail_attempt(package.spec, channel, wake, error, target.masker)
    else:
        attempt_process(bound, package.spec, channel, wake)


if __name__ == "__main__":
    main()
    flush_streams()
    os._exit(0)
