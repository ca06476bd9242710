"""The steps of a running run as the lines that fit on a screen: one line for the steps of a dynamic output, and below
it those that need attention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from orchestrator.cli.styles import DIM, STEP_STYLES
from orchestrator.clock import format_duration
from orchestrator.engine.step_graph import RunStep
from orchestrator.model.states import TERMINAL_STEP_STATES, StepState

# What is listed one by one, however many there are: the first to be shown when there is little room.
_TOLD = {StepState.RUNNING: 0, StepState.RETRYING: 1, StepState.FAILURE: 2}
_BAR = 20
_LONGEST_REASON = 100


class Line(Struct, frozen=True):
    """One line, with its colour. Of those that do not fit, the lowest ranks are shown."""

    rank: int
    symbol: str
    name: str
    note: str
    colour: str
    indent: str = "  "


def how_far(states: Sequence[StepState]) -> str:
    """ "1,078 of 2,002 steps done, 4 running, 1 failed" """
    found = Counter(states)
    done = sum(found[state] for state in TERMINAL_STEP_STATES)
    words = f"{done:,} of {len(states):,} step{'' if len(states) == 1 else 's'} done"
    shown = {StepState.RUNNING: "running", StepState.RETRYING: "to be retried", StepState.FAILURE: "failed"}
    return ", ".join([words, *(f"{found[state]:,} {word}" for state, word in shown.items() if found[state])])


def live_lines(steps: Sequence[RunStep], room: int, now: datetime) -> Iterator[list[tuple[str, str]]]:
    """At most `room` lines, in the order of the plan, each as pieces of (text, color)."""
    if len(steps) <= room:
        lines = [_one(step, now) for step in steps]
    else:
        lines = [line for members in families(steps) for line in _family(members, now)]
    shown = lines
    if len(lines) > room:
        chosen = sorted(range(len(lines)), key=lambda place: (lines[place].rank, place))[: max(1, room - 1)]
        shown = [lines[place] for place in sorted(chosen)]
    pad = max((len(line.indent + line.name) for line in shown), default=0)
    for line in shown:
        rest = f" {line.name.ljust(pad - len(line.indent))}  {line.note}".rstrip()
        yield [(line.indent, ""), (line.symbol, line.colour), (rest, "")]
    if len(shown) < len(lines):
        yield [(f"    and {len(lines) - len(shown):,} more", DIM)]


def families(steps: Sequence[RunStep]) -> Iterator[list[RunStep]]:
    """The steps with those that are one step of the plan, run for each key, together."""
    families: dict[str, list[RunStep]] = {}
    for step in steps:
        families.setdefault(step.planned.key, []).append(step)
    yield from families.values()


def _family(members: list[RunStep], now: datetime) -> Iterator[Line]:
    if len(members) == 1:
        yield _one(members[0], now)
        return
    done = sum(step.state in TERMINAL_STEP_STATES for step in members)
    symbol, colour = STEP_STYLES[together(members)]
    filled = _BAR * done // len(members)
    bar = "━" * filled + "─" * (_BAR - filled)
    yield Line(-1, symbol, family_name(members), f"{bar} {done:,} of {len(members):,} done", colour)
    for step in members:
        if step.state in _TOLD:
            yield _one(step, now, indent="    ")


def family_name(members: Sequence[RunStep]) -> str:
    """What the steps that are one step of the plan are called together."""
    return f"{members[0].key.partition('[')[0]}[…]"


def together(members: Sequence[RunStep]) -> StepState:
    """The one state that stands for all of them."""
    done = sum(step.state in TERMINAL_STEP_STATES for step in members)
    if done < len(members):
        return StepState.RUNNING if any(step.state in _TOLD for step in members) or done else StepState.WAITING
    return StepState.FAILURE if any(step.state is StepState.FAILURE for step in members) else StepState.SUCCESS


def _one(step: RunStep, now: datetime, indent: str = "  ") -> Line:
    symbol, colour = STEP_STYLES[step.state]
    rank = _TOLD.get(step.state, 3 if step.state in (StepState.READY, StepState.WAITING) else 4)
    return Line(rank, symbol, step.key, _how_it_is(step, now), colour, indent)


def _how_it_is(step: RunStep, now: datetime) -> str:
    if step.state is StepState.RUNNING and step.started_at is None and step.waits_for:
        reason = " ".join(step.waits_for.split())
        return f"waits: {reason if len(reason) <= _LONGEST_REASON else f'{reason[:_LONGEST_REASON]}…'}"
    if step.state is StepState.RUNNING:
        began = step.started_at or now  # its process is being started
        took = format_duration(max(0.0, (now - began).total_seconds()))
        return f"{took:>7}" + (f"  attempt {step.attempt}" if step.attempt > 1 else "")
    if step.state is StepState.RETRYING and step.due_at is not None:
        wait = max(0.0, (step.due_at - now).total_seconds())
        return f"again in {format_duration(wait)}"
    return f"{format_duration(step.seconds):>7}" if step.seconds is not None else ""
