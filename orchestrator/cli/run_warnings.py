"""Warnings about a run that failed no step: resources that were not torn down, hooks that raised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from orchestrator.cli.output import Painter, whole
from orchestrator.cli.runs_view import MOST_FAILURES, error_lines
from orchestrator.cli.styles import BOLD, DIM, YELLOW
from orchestrator.model.events import Event, HookFailed, ResourceFailed

Warned = HookFailed | ResourceFailed


def warnings_of(facts: Iterable[Event]) -> list[Warned]:
    """Those events that a person should look at although the step they belong to may have succeeded."""
    return [
        fact
        for fact in facts
        if isinstance(fact, HookFailed) or (isinstance(fact, ResourceFailed) and fact.phase == "teardown")
    ]


def warning_lines(facts: Sequence[Event], run_id: str, paint: Painter) -> Iterator[str]:
    """A heading and one entry for each cause, with the steps that it came up in."""
    ways: dict[tuple[str, str], list[Warned]] = {}
    for one in warnings_of(facts):
        ways.setdefault((_what(one), one.error.headline()), []).append(one)
    if ways:
        yield f"\n{paint(BOLD, 'warnings')}"
    for (what, headline), alike in list(ways.items())[:MOST_FAILURES]:
        steps = list(dict.fromkeys(one.step for one in alike))
        others = f" and {len(steps) - 3:,} more" if len(steps) > 3 else ""
        yield f"  {paint(YELLOW, what)} ({', '.join(steps[:3])}{others}): {headline}"
        yield from error_lines(alike[0].error, paint)
    if len(ways) > MOST_FAILURES:
        yield paint(DIM, f"  and {len(ways) - MOST_FAILURES} more: orchestrator runs events {run_id}")


def warnings_json(facts: Sequence[Event]) -> list[dict[str, Any]]:
    """The same for programs, one entry each time."""
    return [
        {"step": one.step, "attempt": one.attempt, "what": _what(one), "error": whole(one.error)}
        for one in warnings_of(facts)
    ]


def _what(one: Warned) -> str:
    if isinstance(one, HookFailed):
        return f"hook {one.hook} failed"
    return f"resource {one.resource} was not torn down"
