"""Which value a stored one is: the run, step, output and key that made it. It travels with the value and is compared
when the value is read or replaced, so that a place that several runs share never hands one run the value of another.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.definitions.contexts import OutputContext
from orchestrator.definitions.values import Failure


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who made a stored value."""

    run: str | None = None
    pipeline: str = ""
    step: str = ""
    output: str = ""
    key: str | None = None
    attempt: int = 1
    version: str | None = None

    @property
    def output_of_step(self) -> tuple[str, str, str | None]:
        return self.step, self.output, self.key

    def __str__(self) -> str:
        key = "" if self.key is None else f" (key {self.key!r})"
        return f"output {self.output!r}{key} of step {self.step!r}"


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written beside a stored table: who made it, and what is needed to give it its form again."""

    made_by: Identity | None = None
    form: str | None = None
    notes: dict[str, Any] = {}
    skeleton: str | None = None


def identity_of(context: OutputContext) -> Identity:
    """The identity of the value that a context names."""
    return Identity(
        context.run_id,
        context.pipeline,
        context.step,
        context.name,
        context.mapping_key,
        context.attempt,
        context.version,
    )


_encode = msgspec.json.Encoder().encode
_label_decoder = msgspec.json.Decoder(Label)


def encode_label(label: Label) -> bytes:
    return _encode(label)


def decode_label(text: str | bytes) -> Label | None:
    """The label that `encode_label` wrote; None for any other text."""
    try:
        return _label_decoder.decode(text)
    except msgspec.MsgspecError:
        return None


def check_read(found: Identity | None, context: OutputContext, place: str, *, shared: bool) -> None:
    """Raises Failure when the value at `place` is not the one that `context` names.

    `shared` says that other runs keep their values at the same place. A value without an identity was written by
    version 0.1.0 or by another program, and is taken as it is.
    """
    if found is None:
        return
    wanted = identity_of(context)
    same_output = found.output_of_step == wanted.output_of_step
    if not same_output and (found.run == wanted.run or found.pipeline == wanted.pipeline):
        raise Failure(_two_outputs(found, wanted, place), allow_retries=False)
    # Without a run, whatever is there is asked for; a version is the same value whichever run made it.
    is_ours = wanted.run is None or found.run == wanted.run or (wanted.version is not None and not shared)
    if not is_ours:
        raise Failure(
            f"{place} no longer holds the value that run {wanted.run} stored there ({wanted}): run {found.run} of"
            f" pipeline {found.pipeline!r} has replaced it. Runs that keep a value at the same place must go one after"
            " another (a tag limit in run_queue, `overlap` of the schedule), or write {run_id} into the path or table"
            " to give each run a place of its own. Then run the pipeline again.",
            allow_retries=False,
        )


def check_write(found: Identity | None, context: OutputContext, place: str) -> None:
    """Raises Failure when another output of the same run lies at `place` already."""
    wanted = identity_of(context)
    if found is not None and found.run == wanted.run and found.output_of_step != wanted.output_of_step:
        raise Failure(_two_outputs(found, wanted, place), allow_retries=False)


def _two_outputs(found: Identity, wanted: Identity, place: str) -> str:
    alike = str(found).lower() == str(wanted).lower() and found.output_of_step != wanted.output_of_step
    why = " This store does not tell names apart by case." if alike else ""
    return (
        f"{place} holds {found} of run {found.run}, and {wanted} would be kept at the same place.{why} Give each output"
        " a place or a name of its own."
    )
