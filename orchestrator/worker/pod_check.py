"""Entry point of a pod that only looks whether steps could run in it: `python -m orchestrator.worker.pod_check`.

What it finds goes into the container's termination message: versions, definitions, and variables that are missing.
"""

from __future__ import annotations

import base64
import os
import zlib

import msgspec

from orchestrator._version import __version__
from orchestrator.attempts.pod import leave_message
from orchestrator.init_process import run_as_child_of_init
from orchestrator.protocol.messages import OLDEST_PROTOCOL, PROTOCOL
from orchestrator.protocol.pod_report import PodReport
from orchestrator.worker.loading import Target, load

TARGET, NEEDED = "ORCHESTRATOR_POD_TARGET", "ORCHESTRATOR_POD_NEEDED"


def main() -> None:
    """Leaves the report."""
    target = Target(**msgspec.json.decode(os.environ.pop(TARGET)))
    needed = msgspec.json.decode(os.environ.pop(NEEDED), type=tuple[str, ...])
    missing = tuple(name for name in needed if name not in os.environ)
    report = PodReport(__version__, PROTOCOL, OLDEST_PROTOCOL, missing=missing)
    try:
        info = load(target).info(target.masker)
        report = msgspec.structs.replace(report, pipelines={one.name: one.steps for one in info.pipelines})
    except BaseException as error:  # importing runs user code
        said = target.masker(f"{type(error).__name__}: {error}")[:1000]
        report = msgspec.structs.replace(report, error=said)
    leave_message(base64.b85encode(zlib.compress(msgspec.json.encode(report), 9)))


if __name__ == "__main__":
    run_as_child_of_init()
    main()
    os._exit(0)
