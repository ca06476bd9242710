"""Renders one event on one line."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.cli.output import Painter
from orchestrator.cli.runs_view import metadata_summary
from orchestrator.cli.styles import CYAN, DIM, GREEN, RED, YELLOW
from orchestrator.clock import format_duration
from orchestrator.model import events as ev
from orchestrator.model.asset import asset_name
from orchestrator.model.error_info import ErrorInfo

_SHOWN_ALREADY = frozenset({"at", "step", "attempt", "n"})


def event_line(event: ev.Event) -> tuple[str, str] | None:
    """(colour, words) for an event that people want to see; None for the rest."""
    match event:
        case ev.AttemptStarted(step=step, post_mortem=True):
            return DIM, f"{step}: its failure hooks run"
        case ev.AttemptSucceeded(post_mortem=True):
            return None
        case ev.AttemptStarted(step=step, attempt=attempt):
            return CYAN, f"{step} started" + (f" (attempt {attempt})" if attempt > 1 else "")
        case ev.AttemptSucceeded(step=step, seconds=seconds):
            return GREEN, f"{step} succeeded in {format_duration(seconds)}"
        case ev.StepFailed(step=step, error=error):
            return RED, f"{step} failed: {error.headline()}"
        case ev.StepRetryScheduled(step=step, reason=reason, due_at=due_at, at=at):
            wait = max(0.0, (due_at - at).total_seconds())
            return YELLOW, f"{step} will be tried again in {format_duration(wait)}: {reason}"
        case ev.StepSkipped(step=step, reason=reason):
            return DIM, f"{step} skipped: {reason}"
        case ev.StepAbandoned(step=step, upstream=upstream):
            return YELLOW, f"{step} abandoned: {upstream} did not succeed"
        case ev.StepReused(step=step, run_id=run_id, memoized=memoized):
            where = "its version is stored" if memoized else f"taken from run {run_id}" if run_id else "not selected"
            return DIM, f"{step} reused: {where}"
        case ev.AssetMaterialized(asset=asset, metadata=metadata):
            summary = metadata_summary(metadata)
            name = asset_name(asset) + (f"[{event.partition}]" if event.partition else "")
            return GREEN, f"asset {name}" + (f" ({summary})" if summary else "")
        case ev.ExpectationChecked(success=False, step=step, label=label, description=description):
            return YELLOW, f"{step}: expectation {label!r} does not hold" + (f": {description}" if description else "")
        case ev.LogEmitted(step=step, level=level, message=message) if level not in ("DEBUG", "INFO"):
            return YELLOW, f"{step}: {level} {message.splitlines()[0] if message else ''}"
        case ev.HookFailed(step=step, hook=hook, error=error):
            return YELLOW, f"{step}: hook {hook} failed: {error.headline()}"
        case ev.ResourceFailed(step=step, resource=resource, phase="teardown", error=error):
            return YELLOW, f"{step}: resource {resource} was not torn down: {error.headline()}"
        case ev.RunCancelRequested(by=by):
            return YELLOW, f"canceling ({by}); once more to kill" if by == "Ctrl-C" else f"canceling ({by})"
        case ev.RunResumed():
            return CYAN, "resumed"
        case _:
            return None


def event_row(event: ev.Event, paint: Painter) -> str:
    """When, what, which step, and the rest of the event in words."""
    line = event_line(event)
    code = line[0] if line else DIM
    step = getattr(event, "step", "")
    attempt = getattr(event, "attempt", None)
    where = f"{step}" + (f"/{attempt}" if attempt and attempt > 1 else "")
    return f"{paint(DIM, _time(event))}  {paint(code, ev.kind_of(event).ljust(22))} {where:<20} {_rest(event)}".rstrip()


def _time(event: ev.Event) -> str:
    return f"{event.at.astimezone():%H:%M:%S.%f}"[:-3]


def _rest(event: ev.Event) -> str:
    parts = []
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in _SHOWN_ALREADY or value is None or value in ("", (), {}):
            continue
        parts.append(f"{name}={_words(value)}")
    text = "  ".join(parts)
    return text if len(text) <= 300 else text[:299] + "…"


def _words(value: Any) -> str:
    if isinstance(value, ErrorInfo):
        return value.headline()
    if isinstance(value, msgspec.Struct):
        return ",".join(f"{name}:{getattr(value, name)}" for name in value.__struct_fields__)
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return str(value).replace("\n", "\\n")
