"""The selection language: which steps of a pipeline to run. Knows names and edges, and no definition.

`name` selects one step (or, for a nested pipeline, all of its steps), `*name` it and everything it needs, `name*` it
and everything that needs it; `+name` and `name++` do the same one and two levels far. Several queries select the
union.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from orchestrator.errors import ConfigError, near_misses

_QUERY = re.compile(r"(?P<up>\*|\++)?(?P<name>[A-Za-z0-9_.]+(?:\[[^\]]*\])*)(?P<down>\*|\++)?")

_HOW = "Write step, *step (with all it needs), step* (with all that need it), +step or step++ (levels)."

# One entry a step: the steps that it depends on.
Upstream = Mapping[str, frozenset[str]]


def select(queries: Iterable[str], upstream: Upstream) -> frozenset[str]:
    """The steps selected by at least one query. Raises ConfigError naming the first query that matches none."""
    downstream = _reversed(upstream)
    chosen: set[str] = set()
    for query in queries:
        parts = query.replace(",", " ").split()
        if not parts:
            raise ConfigError("The selection is empty.", hint=_HOW)
        for part in parts:
            chosen |= _matched(part, upstream, downstream)
    return frozenset(chosen)


def _matched(query: str, upstream: Upstream, downstream: Upstream) -> set[str]:
    match = _QUERY.fullmatch(query)
    if match is None:
        raise ConfigError(f"{query!r} is not a selection.", hint=_HOW)
    name = match["name"]
    start = {key for key in upstream if _is_called(key, name)}
    if not start:
        raise ConfigError(f"The selection {query!r} matches no step.", hint=near_misses(name, upstream, "step"))
    return start | _reach(start, upstream, match["up"]) | _reach(start, downstream, match["down"])


def _is_called(key: str, name: str) -> bool:
    plain = key.replace("[?]", "")
    return name in (key, plain) or plain.startswith(name + ".")


def _reach(start: set[str], edges: Upstream, how_far: str | None) -> set[str]:
    levels = len(edges) if how_far == "*" else len(how_far or "")
    reached: set[str] = set()
    frontier = start
    for _ in range(levels):
        frontier = {key for step in frontier for key in edges[step]} - reached
        if not frontier:
            break
        reached |= frontier
    return reached


def _reversed(upstream: Upstream) -> dict[str, frozenset[str]]:
    edges: dict[str, set[str]] = {key: set() for key in upstream}
    for key, needed in upstream.items():
        for other in needed:
            edges[other].add(key)
    return {key: frozenset(others) for key, others in edges.items()}
