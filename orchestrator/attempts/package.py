"""What the process of an attempt is given: everything it needs of its run, so that it reads no file of the run and can
be where no state directory is.

The part that all attempts of a run share (`RunPackage`) travels once to a process that makes several of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.run import RunRecord, Trigger


class RunPackage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the attempts of a run share.

    `config` is unresolved: it says `{env: NAME}` where a secret belongs, and the attempt's process fills that in.
    `plan` is a `planning.plan.Plan` as JSON: of the whole run, or of the steps that one attempt needs. `storage` is
    the place of the default IO manager, "" when there is none.
    """

    run_id: str
    pipeline: str
    mode: str
    trigger: Trigger = Trigger()
    tags: dict[str, str] = {}
    config: dict[str, Any] = {}
    plan: msgspec.Raw = msgspec.Raw(b"null")
    storage: str = ""


class AttemptPackage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything a process needs to make one attempt."""

    run: RunPackage
    spec: AttemptSpec


def run_package(record: RunRecord, storage: str) -> RunPackage:
    """The package of a run, whose default IO manager stores in `storage`."""
    return RunPackage(
        run_id=record.run_id,
        pipeline=record.pipeline,
        mode=record.mode,
        trigger=record.trigger,
        tags=record.tags,
        config=record.config,
        plan=record.plan,
        storage=storage,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AttemptPackage)
_run_decoder = msgspec.json.Decoder(RunPackage)


def encode_run(package: RunPackage) -> bytes:
    """The run's part as JSON."""
    return _encoder.encode(package)


def decode_run(data: bytes) -> RunPackage:
    """The package that `encode_run` wrote. Raises msgspec.MsgspecError."""
    return _run_decoder.decode(data)


def encode_package(package: AttemptPackage) -> bytes:
    """The package as JSON."""
    return _encoder.encode(package)


def decode_package(data: bytes) -> AttemptPackage:
    """The package that `encode_package` wrote. Raises msgspec.MsgspecError."""
    return _decoder.decode(data)
