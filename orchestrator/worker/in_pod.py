"""Entry point of an attempt in a pod: `python -m orchestrator.worker.in_pod`.

What the attempts of a run share is in a mounted file, what is this attempt's own in the environment. The outcome goes
into the container's termination message.
"""

from __future__ import annotations

import base64
import os
import zlib
from pathlib import Path

import msgspec

from orchestrator.attempts.package import AttemptPackage, decode_run
from orchestrator.attempts.pod import PodChannel
from orchestrator.init_process import run_as_child_of_init
from orchestrator.model.attempt import AttemptSpec
from orchestrator.worker.attempt import Wake
from orchestrator.worker.loading import Target
from orchestrator.worker.output import flush_streams
from orchestrator.worker.spawned import make_attempt

SPEC, TARGET, TOKEN, RUN_FILE = (f"ORCHESTRATOR_POD_{word}" for word in ("SPEC", "TARGET", "TOKEN", "RUN"))


def main() -> None:
    """Makes the attempt."""
    given = {name: os.environ.pop(name) for name in (SPEC, TARGET, TOKEN, RUN_FILE)}
    spec = msgspec.json.decode(zlib.decompress(base64.b85decode(given[SPEC])), type=AttemptSpec)
    target = Target(**msgspec.json.decode(given[TARGET]))
    run = decode_run(zlib.decompress(Path(given[RUN_FILE]).read_bytes()))
    make_attempt(target, AttemptPackage(run=run, spec=spec), PodChannel(given[TOKEN]), Wake(None))


if __name__ == "__main__":
    run_as_child_of_init()
    main()
    flush_streams()
    os._exit(0)
