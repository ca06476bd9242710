"""Entry point of a step process with `isolation: spawn`: a fresh interpreter that imports the module itself. Whatever
comes after the import is the same as in a forked one.

`python -m orchestrator.location.spawned TARGET RUN_DIR ATTEMPT_DIR WAKE`; the attempt's spec.json says what to do.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec

from orchestrator.layout import AttemptDir, RunDir
from orchestrator.location.attempt import Wake, fail_attempt
from orchestrator.location.bound import BoundRun, stored_plan
from orchestrator.location.children import attempt_process
from orchestrator.location.debugger import refuse_breakpoints
from orchestrator.location.loading import Target, load
from orchestrator.location.output import flush_streams, install_streams
from orchestrator.records import AttemptSpec, RunRecord


def main() -> None:
    """Makes the attempt."""
    target = Target(**json.loads(sys.argv[1]))
    run_dir, directory = RunDir(Path(sys.argv[2])), AttemptDir(Path(sys.argv[3]))
    wake = Wake(None if sys.argv[4] == "None" else int(sys.argv[4]))
    if wake.descriptor is not None:
        os.set_inheritable(wake.descriptor, False)
    spec = msgspec.json.decode((directory.path / "spec.json").read_bytes(), type=AttemptSpec)
    install_streams()
    refuse_breakpoints()
    sys.argv = [target.file or str(target.module)]
    try:
        record = msgspec.json.decode(run_dir.run_json.read_bytes(), type=RunRecord)
        pipeline = load(target).pipeline(record.pipeline)
        bound = BoundRun(record, stored_plan(record, run_dir), pipeline, os.environ, masker=target.masker)
    except Exception as error:  # importing runs user code
        fail_attempt(spec, directory, wake, error, target.masker)
    else:
        attempt_process(bound, spec, directory, wake)


if __name__ == "__main__":
    main()
    flush_streams()
    os._exit(0)
