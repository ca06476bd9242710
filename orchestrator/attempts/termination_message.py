"""What a pod says last: its events, small enough for the termination message of its container.

Kubernetes keeps 4,096 bytes that a container wrote to a file, also when it was killed, and delivers them with the pod's
status. Events of nearly every step fit into that, compressed. Those that do not follow as a block at the end of the
container's log, whose length and digest the message states.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

MOST_BYTES = 4096
# A line of a block. Shorter than what a pipe writes at once, and than the pieces in which a log is kept.
_LINE = 3000
BLOCK = "orchestrator-events "


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """The message as JSON. `lines`: how many events there are. `data`: all of them, compressed, or None when they are
    in a block of `block` lines with this `digest`; then `last` is the last of them, compressed, if it fits: the outcome
    counts also when the block is lost. `unclaimed`: why the pod has not made the attempt: it was "taken" by
    another, the pod was "refused" a claim, or whose it is was "unknown"; `reason` is that in words."""

    lines: int
    data: str | None = None
    block: int = 0
    digest: str = ""
    last: str | None = None
    unclaimed: Literal["", "taken", "refused", "unknown"] = ""
    reason: str = ""


class Written(Struct, frozen=True):
    """A message, and the block that has to stand in the log with it, a line each without newlines."""

    message: bytes
    block: tuple[str, ...] = ()


def write_message(events: Sequence[bytes], token: str) -> Written:
    """The message for these encoded events, each with its newline. `token` marks lines of the log as ours: what a step
    prints cannot know it."""
    packed = base64.b85encode(zlib.compress(b"".join(events), 9)).decode()
    whole = msgspec.json.encode(Message(len(events), packed))
    if len(whole) <= MOST_BYTES:
        return Written(whole)
    pieces = [packed[start : start + _LINE] for start in range(0, len(packed), _LINE)]
    block = tuple(f"{BLOCK}{token} {number} {piece}" for number, piece in enumerate(pieces))
    digest = hashlib.sha256(packed.encode()).hexdigest()[:16]
    last = base64.b85encode(zlib.compress(events[-1], 9)).decode()
    message = msgspec.json.encode(Message(len(events), None, len(block), digest, last))
    if len(message) > MOST_BYTES:
        message = msgspec.json.encode(Message(len(events), None, len(block), digest))
    return Written(message, block)


def unclaimed_message(unclaimed: Literal["taken", "refused", "unknown"], reason: str) -> bytes:
    """The message of a pod that has not made the attempt."""
    return msgspec.json.encode(Message(0, unclaimed=unclaimed, reason=reason[:2000]))


def read_message(text: str) -> Message | None:
    """The message in what a container left; None when it left none of ours."""
    try:
        return msgspec.json.decode(text, type=Message)
    except msgspec.MsgspecError:
        return None


def events_in(message: Message, log: Sequence[str] = (), token: str = "") -> list[bytes] | None:
    """The encoded events, without newlines; None when some of them are missing. `log`: the last lines of the log."""
    packed = message.data
    if packed is None:
        found: dict[int, str] = {}
        prefix = f"{BLOCK}{token} "
        for line in log:
            if line.startswith(prefix):
                number, _, piece = line.removeprefix(prefix).partition(" ")
                if number.isdigit():
                    found[int(number)] = piece
        packed = "".join(found.get(number, "") for number in range(message.block))
        if hashlib.sha256(packed.encode()).hexdigest()[:16] != message.digest:
            return None
    return _unpacked(packed)


def last_event_in(message: Message) -> bytes | None:
    """The last event, without its newline, of a message whose events are elsewhere; None if it has none."""
    found = None if message.last is None else _unpacked(message.last)
    return found[-1] if found else None


def _unpacked(packed: str) -> list[bytes] | None:
    try:
        text = zlib.decompress(base64.b85decode(packed))
    except (ValueError, zlib.error):
        return None
    return text.split(b"\n")[:-1]
