"""Reports the result of a run, from its state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from orchestrator.cli.live_steps import families, family_name, together
from orchestrator.cli.output import Painter
from orchestrator.cli.run_origin import origin_lines
from orchestrator.cli.run_warnings import warning_lines
from orchestrator.cli.runs_view import (
    LAST_LINES,
    LONGEST_LINE,
    MOST_ASSETS,
    MOST_FAILURES,
    MOST_STEPS,
    ago,
    counts,
    error_lines,
    headline,
    metadata_summary,
    step_line,
)
from orchestrator.cli.styles import BOLD, DIM, GREEN, RED, YELLOW
from orchestrator.clock import format_duration
from orchestrator.engine.step_graph import RunStep
from orchestrator.engine.summary import run_detail
from orchestrator.model.asset import asset_name
from orchestrator.model.events import AssetMaterialized, Event, ExpectationChecked
from orchestrator.model.run import Acknowledgement
from orchestrator.model.states import ACTIVE_RUN_STATES, RunState, StepState
from orchestrator.service.history import RunView

_ALL = "orchestrator runs show {} --steps"


def report(
    view: RunView,
    *,
    now: datetime,
    paint: Painter,
    every_step: bool = False,
    with_origin: bool = False,
    acknowledged: Acknowledgement | None = None,
) -> Iterator[str]:
    """The lines of a report: how it went, its steps, what failed and why, what it wrote, what to do next. With its
    origin unless the reader has just asked for the run."""
    record, progress, facts = view.record, view.progress, view.events
    steps = progress.network.in_order()
    summary = run_detail(record, progress)
    is_abandoned = view.has_owner is False and progress.status in ACTIVE_RUN_STATES
    yield headline(summary, [step.state for step in steps], now, paint, is_abandoned=is_abandoned)
    if acknowledged is not None:
        note = f": {acknowledged.note}" if acknowledged.note else ""
        yield f"  {paint(DIM, 'seen')}    acknowledged {ago(acknowledged.acknowledged_at, now)}{note}"
    if with_origin:
        yield from origin_lines(record, paint, everything=every_step)
        yield ""
    yield from _steps(steps, record.run_id, paint, every_step)
    yield from _failures(steps, view, paint, every_step)
    yield from _expectations(facts, paint)
    yield from warning_lines(facts, record.run_id, paint)
    yield from _assets(facts, paint)
    if progress.reason and progress.status is not RunState.SUCCESS and not progress.failed:
        yield f"\n{paint(YELLOW, progress.reason)}"
    yield from _next(view, paint)


class _Row(Struct, frozen=True):
    """A step, or all that are one step of the plan."""

    key: str
    state: StepState
    seconds: float | None
    note: str


def _steps(steps: list[RunStep], run_id: str, paint: Painter, every_step: bool) -> Iterator[str]:
    if len(steps) <= MOST_STEPS or every_step:
        rows = [_row([step]) for step in steps]
    else:
        rows = [_row(members) for members in families(steps)]
    shown = rows
    if len(rows) > MOST_STEPS and not every_step:
        shown = [row for row in rows if row.state is not StepState.SUCCESS][:MOST_STEPS]
        slowest = sorted((row for row in rows if row.seconds is not None), key=lambda row: -(row.seconds or 0))[:5]
        shown = [row for row in rows if row in shown or row in slowest]
    pad = min(40, max((len(row.key) for row in shown), default=0))
    for row in shown:
        yield step_line(row.key, row.state, row.seconds, row.note, paint, pad)
    if len(shown) < len(rows):
        yield paint(DIM, f"    and {len(rows) - len(shown):,} more: {_ALL.format(run_id)}")
    elif len(rows) < len(steps):
        yield paint(DIM, f"    each of them: {_ALL.format(run_id)}")


def _row(members: list[RunStep]) -> _Row:
    """One line for the step, or for all the keys of it: then its time is that of the slowest."""
    if len(members) == 1:
        (step,) = members
        return _Row(step.key, step.state, step.seconds, step_note(step))
    slowest = max((step.seconds for step in members if step.seconds is not None), default=None)
    note = counts([step.state for step in members])
    return _Row(family_name(members), together(members), slowest, f"slowest of {note}" if slowest is not None else note)


def step_note(step: RunStep) -> str:
    """What there is to say of a step beside its state: why it did not run, that it needed several attempts, and where
    in a cluster it ran."""
    return ", ".join(part for part in (_fate(step), _place(step)) if part)


def _place(step: RunStep) -> str:
    if step.place is None:
        return ""
    waited = f"waited {format_duration(step.waited or 0)}"
    if step.place.pulled_s:
        waited += f" ({format_duration(step.place.pulled_s)} for its image)"
    return f"on {step.place.node}, {waited}" if step.place.node else waited


def _fate(step: RunStep) -> str:
    if step.state is StepState.SKIPPED:
        return step.missing_input() or ""
    if step.state is StepState.ABANDONED:
        return f"{step.failed_upstream} did not succeed"
    if step.state is StepState.REUSED:
        return f"from run {step.run_id}" if step.run_id else "stored already"
    if step.state is StepState.SUCCESS and step.tries > 1:
        return f"attempt {step.tries}"
    if step.state is StepState.FAILURE and step.tries > 1:
        return f"{step.tries} attempts"
    return ""


def _failures(steps: list[RunStep], view: RunView, paint: Painter, every_step: bool) -> Iterator[str]:
    """What has failed and why. Keys of a step that fail in one way are shown once: a thousand mostly fail in one or
    two."""
    failed = [step for step in steps if step.state is StepState.FAILURE and step.error is not None]
    ways: dict[object, list[RunStep]] = {}
    for step in failed:
        ways.setdefault(step.key if every_step else _way(step), []).append(step)
    shown = list(ways.values()) if every_step else list(ways.values())[:MOST_FAILURES]
    for alike in shown:
        yield ""
        yield from _failure(alike[0], view, paint)
        if len(alike) > 1:
            others = ", ".join(step.key for step in alike[1:4])
            more = f" and {len(alike) - 4:,} more" if len(alike) > 4 else ""
            yield paint(DIM, f"    {others}{more} failed in the same way: {_ALL.format(view.record.run_id)}")
    left_out = sum(map(len, ways.values())) - sum(map(len, shown))
    if left_out:
        verb = "has" if left_out == 1 else "have"
        yield paint(DIM, f"\n{left_out:,} more {verb} failed too: {_ALL.format(view.record.run_id)}")


def _way(step: RunStep) -> tuple[object, ...]:
    """What is the same of steps that fail in one way: all but the numbers and the keys in their messages."""
    assert step.error is not None
    text = step.error.headline()
    for key in step.key.partition("[")[2].rstrip("]").replace("][", ",").split(","):
        text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "#", text) if key else text
    places = tuple((frame.file, frame.line) for frame in step.error.frames[-1:])
    return step.planned.key, re.sub(r"\b0x[0-9a-f]+|\d+", "#", text), places


def _failure(step: RunStep, view: RunView, paint: Painter) -> Iterator[str]:
    error = step.error
    if error is None:
        return
    yield f"{paint(f'{BOLD};{RED}', f'✗ {step.key}')} failed: {error.headline()}"
    yield from error_lines(error, paint)
    lines = view.last_lines(step.key, step.tries, LAST_LINES)
    if lines:
        yield paint(DIM, "    the last lines it printed:")
        yield from (f"      {line if len(line) <= LONGEST_LINE else f'{line[:LONGEST_LINE]}…'}" for line in lines)


def _expectations(facts: Sequence[Event], paint: Painter) -> Iterator[str]:
    broken = [fact for fact in facts if isinstance(fact, ExpectationChecked) and not fact.success]
    if broken:
        yield f"\n{paint(BOLD, 'expectations that do not hold')}"
    for fact in broken:
        described = f": {fact.description}" if fact.description else ""
        yield f"  {paint(YELLOW, fact.label or 'expectation')} ({fact.step}){described}"


def _assets(facts: Sequence[Event], paint: Painter) -> Iterator[str]:
    """One line an asset, however many partitions of it were written."""
    written: dict[tuple[str, ...], list[AssetMaterialized]] = {}
    for fact in facts:
        if isinstance(fact, AssetMaterialized):
            written.setdefault(fact.asset, []).append(fact)
    if written:
        yield f"\n{paint(BOLD, 'assets')}"
    pad = min(40, max((len(asset_name(asset)) for asset in written), default=0))
    for asset, times in list(written.items())[:MOST_ASSETS]:
        yield f"  {paint(GREEN, asset_name(asset).ljust(pad))}  {paint(DIM, _what_was_written(times))}"
    if len(written) > MOST_ASSETS:
        yield paint(DIM, f"  and {len(written) - MOST_ASSETS} more (`orchestrator asset list` has them all)")


def _what_was_written(times: list[AssetMaterialized]) -> str:
    if len(times) == 1:
        partition = f"[{times[0].partition}] " if times[0].partition else ""
        return partition + metadata_summary(times[0].metadata)
    partitions = [one.partition for one in times if one.partition]
    named = f": {', '.join(partitions[:6])}{' ...' if len(partitions) > 6 else ''}" if partitions else ""
    return f"{len(times)} {'partitions' if partitions else 'times'}{named}"


def _next(view: RunView, paint: Painter) -> Iterator[str]:
    record, progress = view.record, view.progress
    yield ""
    if view.has_owner and progress.status in ACTIVE_RUN_STATES:
        yield f"{paint(DIM, 'follow')}  orchestrator runs events {record.run_id} --follow"
        yield f"{paint(DIM, 'cancel')}  orchestrator runs cancel {record.run_id}"
    elif progress.interrupted or progress.status is RunState.STARTED:
        yield f"{paint(DIM, 'resume')}  orchestrator runs resume {record.run_id}"
    elif progress.status in (RunState.FAILURE, RunState.CANCELED):
        yield f"{paint(DIM, 'again')}   orchestrator run --from-failure {record.run_id}"
    yield f"{paint(DIM, 'logs')}    orchestrator runs logs {record.run_id}    ({view.directory})"
