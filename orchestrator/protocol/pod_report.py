"""What a pod says of its image, when `orchestrator kubernetes check` asks."""

from __future__ import annotations

import base64
import zlib

import msgspec

from orchestrator._version import __version__
from orchestrator.protocol.messages import PROTOCOL, is_compatible


class PodReport(msgspec.Struct, frozen=True):
    """`pipelines`: how many steps each has. `missing`: variables that are needed and not set. `error`: why the module
    cannot be imported."""

    version: str
    protocol: int
    oldest_protocol: int
    pipelines: dict[str, int] = {}
    missing: tuple[str, ...] = ()
    error: str | None = None


def read_report(text: str) -> PodReport | None:
    """The report in a termination message; None when it is none."""
    try:
        return msgspec.json.decode(zlib.decompress(base64.b85decode(text)), type=PodReport)
    except (ValueError, zlib.error, msgspec.MsgspecError):
        return None


def differences(report: PodReport, pipelines: dict[str, int]) -> list[str]:
    """What is wrong with an image, compared with the pipelines that are known here; a sentence each. Pure."""
    if not is_compatible(report.protocol, report.oldest_protocol):
        return [
            f"it has orchestrator {report.version} (protocol {report.protocol}), and here is {__version__} ({PROTOCOL})"
        ]
    if report.error is not None:
        return [f"its module cannot be imported: {report.error}"]
    found = [f"the variable {name} is not set in it" for name in report.missing]
    lacking = sorted(pipelines.keys() - report.pipelines.keys())
    if lacking:
        found.append(f"it lacks the pipeline{'s' if len(lacking) > 1 else ''} {', '.join(lacking[:5])}")
    both = sorted(pipelines.keys() & report.pipelines.keys())
    return found + [
        f"its pipeline {name} has {report.pipelines[name]} steps, and here it has {pipelines[name]}"
        for name in both
        if pipelines[name] != report.pipelines[name]
    ]
