"""The selection language: which steps of a pipeline to run, by names, edges and mapping keys.

`name` selects one step (or, for a nested pipeline, all of its steps), `*name` it and everything it needs, `name*` it
and everything that needs it; `+name` and `name++` do the same one and two levels far; `*` alone selects all steps.
`name[key]` selects a mapped step for one key only. Several queries select the union.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from orchestrator.errors import ConfigError, near_misses

_QUERY = re.compile(r"(?P<up>\*|\++)?(?P<name>[A-Za-z0-9_.]+)(?P<keys>(?:\[[^\[\]]*\])*)(?P<down>\*|\++)?")

_HOW = "Write step, *step (with all it needs), step* (with all that need it), +step or step++ (levels), or * for all."

Keys = tuple[str, ...]
# What is selected of each step: the first keys of what runs; () is all of it.
Selection = dict[str, frozenset[Keys]]
_Part = tuple[str, Keys]


class Wiring(Struct, frozen=True):
    """What a selection needs to know of one step: how many dynamic outputs it is mapped over, and the steps that it
    depends on directly, each with how many of its first keys the two have in common."""

    depth: int = 0
    needs: Mapping[str, int] = field(default_factory=dict)


def select(queries: Iterable[str], steps: Mapping[str, Wiring]) -> Selection:
    """What is selected by at least one query. Raises ConfigError naming the first query that matches nothing."""
    needs = {key: dict(wiring.needs) for key, wiring in steps.items()}
    needed_by = _reversed(needs)
    chosen: set[_Part] = set()
    for query in queries:
        parts = query.replace(",", " ").split()
        if not parts:
            raise ConfigError("The selection is empty.", hint=_HOW)
        for part in parts:
            chosen |= {(key, ()) for key in steps} if part == "*" else _matched(part, steps, needs, needed_by)
    return _without_repetition(chosen)


_Edges = Mapping[str, Mapping[str, int]]


def _matched(query: str, steps: Mapping[str, Wiring], needs: _Edges, needed_by: _Edges) -> set[_Part]:
    match = _QUERY.fullmatch(query)
    if match is None:
        raise ConfigError(f"{query!r} is not a selection.", hint=_HOW)
    name, down = match["name"], match["down"]
    whole = name.endswith(".") and down == "*"  # `outer.*` is all of outer
    name, down = (name[:-1], None) if whole else (name, down)
    called = [key for key in steps if key.startswith(name + ".") or (key == name and not whole)]
    if not called:
        hint = near_misses(name, _with_nested(steps), "step")
        raise ConfigError(f"The selection {query!r} matches no step.", hint=hint)
    keys = _keys(query, match["keys"])
    start = {(key, keys) for key in called if steps[key].depth >= len(keys)}
    if not start:
        raise ConfigError(f"The selection {query!r} matches no step.", hint=_too_many_keys(name, steps[called[0]]))
    return start | _reach(start, needs, match["up"]) | _reach(start, needed_by, down)


def _keys(query: str, text: str) -> Keys:
    keys = text[1:-1].split("][") if text else []
    while keys and keys[-1] in ("?", "*"):
        keys.pop()
    if "?" in keys or "*" in keys:
        raise ConfigError(f"{query!r} is not a selection.", hint="Give the keys from the first one on: step[a][b].")
    return tuple(keys)


def _too_many_keys(name: str, wiring: Wiring) -> str:
    if not wiring.depth:
        return f"{name} is not mapped: it runs once and has no keys."
    return f"{name} is mapped over {wiring.depth} dynamic output{'s' if wiring.depth > 1 else ''}: write {name}" + (
        "[key]" * wiring.depth + "."
    )


def _with_nested(steps: Iterable[str]) -> list[str]:
    """The names that can be selected: steps, and the nested pipelines that hold them."""
    names: dict[str, None] = {}
    for key in steps:
        parts = key.split(".")
        names.update((".".join(parts[:end]), None) for end in range(1, len(parts) + 1))
    return list(names)


def _reach(start: set[_Part], edges: _Edges, how_far: str | None) -> set[_Part]:
    levels = len(edges) if how_far == "*" else len(how_far or "")
    reached: set[_Part] = set()
    frontier = start
    for _ in range(levels):
        frontier = {(other, keys[:shared]) for key, keys in frontier for other, shared in edges[key].items()} - reached
        if not frontier:
            break
        reached |= frontier
    return reached


def _reversed(edges: _Edges) -> _Edges:
    turned: dict[str, dict[str, int]] = {key: {} for key in edges}
    for key, others in edges.items():
        for other, shared in others.items():
            turned[other][key] = shared
    return turned


def _without_repetition(chosen: set[_Part]) -> Selection:
    """Leaves out what a shorter key, or the step as a whole, selects already."""
    found: dict[str, set[Keys]] = defaultdict(set)
    for key, keys in chosen:
        if not any((key, keys[:length]) in chosen for length in range(len(keys))):
            found[key].add(keys)
    return {key: frozenset(keys) for key, keys in found.items()}
