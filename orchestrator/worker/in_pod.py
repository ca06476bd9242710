"""Entry point of an attempt in a pod: `python -m orchestrator.worker.in_pod`.

What the attempts of a run share is in a mounted file, what is this attempt's own in the environment. The attempt is
taken by a Lease before the user's module is imported. The outcome goes into the container's termination message.
"""

from __future__ import annotations

import base64
import os
import zlib
from pathlib import Path

import msgspec

from orchestrator.attempts.lease import ApiAccess, LeaseLost, LeaseRefused, LeaseSpec, LeaseUnknown, PodLease
from orchestrator.attempts.package import AttemptPackage, decode_run
from orchestrator.attempts.pod import PodChannel, leave_message
from orchestrator.attempts.termination_message import unclaimed_message
from orchestrator.init_process import run_as_child_of_init
from orchestrator.model.attempt import AttemptSpec
from orchestrator.worker.attempt import Wake
from orchestrator.worker.loading import Target
from orchestrator.worker.output import flush_streams
from orchestrator.worker.spawned import make_attempt

SPEC, TARGET, TOKEN, RUN_FILE = (f"ORCHESTRATOR_POD_{word}" for word in ("SPEC", "TARGET", "TOKEN", "RUN"))
LEASE, UID, UNIT_UID, API = (f"ORCHESTRATOR_POD_{word}" for word in ("LEASE", "UID", "UNIT_UID", "API"))


def main() -> None:
    """Makes the attempt, unless it is another pod's."""
    given = {name: os.environ.pop(name) for name in (SPEC, TARGET, TOKEN, RUN_FILE)}
    claim = {name: os.environ.pop(name) for name in (LEASE, UID, UNIT_UID, API) if name in os.environ}
    lease = _lease(claim) if claim else None
    if lease is not None and not _take(lease):
        return
    spec = msgspec.json.decode(zlib.decompress(base64.b85decode(given[SPEC])), type=AttemptSpec)
    target = Target(**msgspec.json.decode(given[TARGET]))
    run = decode_run(zlib.decompress(Path(given[RUN_FILE]).read_bytes()))
    make_attempt(target, AttemptPackage(run=run, spec=spec), _channel(given[TOKEN], lease), Wake(None))


def _lease(given: dict[str, str]) -> PodLease:
    spec = msgspec.json.decode(given[LEASE], type=LeaseSpec)
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    access = ApiAccess(host, port, Path(given[API]))
    return PodLease(spec, given[UID], given[UNIT_UID], access.send)


def _take(lease: PodLease) -> bool:
    """Whether this pod has the attempt now. If not, its termination message says why."""
    try:
        lease.take()
    except LeaseLost as error:
        leave_message(unclaimed_message("taken", error.message))
    except LeaseUnknown as error:
        leave_message(unclaimed_message("unknown", error.message))
    except LeaseRefused as error:
        leave_message(unclaimed_message("refused", f"{error.message} {error.hint or ''}".strip()))
    else:
        return True
    return False


def _channel(token: str, lease: PodLease | None) -> PodChannel:
    return PodChannel(token) if lease is None else PodChannel(token, lease.confirm)


if __name__ == "__main__":
    run_as_child_of_init()
    main()
    flush_streams()
    os._exit(0)
