"""The selection language: which steps of a pipeline to run."""

import pytest

from orchestrator import ConfigError
from orchestrator.planning.selection import Wiring, select

# a -> b -> c -> d, a -> x, and a nested pipeline p with the steps p.q and p.r[?] after x.
STEPS = {
    "a": Wiring(),
    "b": Wiring(needs={"a": 0}),
    "c": Wiring(needs={"b": 0}),
    "d": Wiring(needs={"c": 0}),
    "x": Wiring(needs={"a": 0}),
    "p.q": Wiring(needs={"x": 0}),
    "p.r": Wiring(1, needs={"p.q": 0}),
}


@pytest.mark.parametrize(
    ("queries", "selected"),
    [
        pytest.param(["b"], "b", id="one step"),
        pytest.param(["*c"], "a b c", id="all it needs"),
        pytest.param(["b*"], "b c d", id="all that need it"),
        pytest.param(["*b*"], "a b c d", id="both"),
        pytest.param(["+c"], "b c", id="one level up"),
        pytest.param(["++d"], "b c d", id="two levels up"),
        pytest.param(["b+"], "b c", id="one level down"),
        pytest.param(["a++"], "a b c x p.q", id="two levels down"),
        pytest.param(["+++++++d"], "a b c d", id="more levels than there are"),
        pytest.param(["b", "x"], "b x", id="several queries"),
        pytest.param(["b x"], "b x", id="several in one, by space"),
        pytest.param(["b, x"], "b x", id="several in one, by comma"),
        pytest.param(["b", "+c"], "b c", id="overlapping"),
        pytest.param(["p"], "p.q p.r", id="a nested pipeline"),
        pytest.param(["p.q"], "p.q", id="a step in it"),
        pytest.param(["*p.q"], "a x p.q", id="a step in it and all it needs"),
        pytest.param(["p.r[?]"], "p.r", id="the mark of a mapped step is allowed"),
        pytest.param(["p.*"], "p.q p.r", id="a nested pipeline, with a star behind a dot"),
        pytest.param(["*p.*"], "a x p.q p.r", id="and all it needs"),
        pytest.param(["*"], "a b c d x p.q p.r", id="all"),
    ],
)
def test_a_selection_selects(queries, selected):
    assert select(queries, STEPS) == {key: frozenset({()}) for key in selected.split()}


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        pytest.param(
            "zz", "The selection 'zz' matches no step.", "There is: a, b, c, d, x, p, p.q, p.r.", id="unknown"
        ),
        pytest.param("*p.s", "The selection '*p.s' matches no step.", "Did you mean p.r or p.q?", id="near"),
        pytest.param("", "The selection is empty.", "Write step,", id="empty"),
        pytest.param(" , ", "The selection is empty.", "Write step,", id="only separators"),
        pytest.param("a-b", "'a-b' is not a selection.", "Write step,", id="malformed"),
        pytest.param("**a", "'**a' is not a selection.", "Write step,", id="two stars"),
        pytest.param("*+a", "'*+a' is not a selection.", "Write step,", id="star and plus"),
        pytest.param("+", "'+' is not a selection.", "Write step,", id="plus alone"),
        pytest.param("a.*", "The selection 'a.*' matches no step.", "Did you mean a?", id="what is in a step"),
        pytest.param("a[k]", "The selection 'a[k]' matches no step.", "a is not mapped", id="a key of a plain step"),
        pytest.param("p.r[k][l]", "The selection 'p.r[k][l]' matches no step.", "p.r is mapped over 1", id="many keys"),
        pytest.param("p.r[?][l]", "'p.r[?][l]' is not a selection.", "Give the keys from the first", id="a later key"),
        pytest.param("p.r[k", "'p.r[k' is not a selection.", "Write step,", id="half a key"),
    ],
)
def test_a_query_that_selects_nothing_is_refused(query, message, hint):
    with pytest.raises(ConfigError) as caught:
        select(["a", query], STEPS)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


# files -> load[?] -> clean[?], which total collects; parts[?] makes keys for each key, part[?][?] runs for all of
# these, whole[?] collects them a key at a time; n.work[?] is nested.
MAPPED = {
    "files": Wiring(),
    "load": Wiring(1, {"files": 0}),
    "clean": Wiring(1, {"load": 1}),
    "total": Wiring(0, {"clean": 0}),
    "parts": Wiring(1, {"load": 1}),
    "part": Wiring(2, {"parts": 1}),
    "whole": Wiring(1, {"part": 1}),
    "n.work": Wiring(1, {"load": 1, "total": 0}),
    "report": Wiring(0, {"total": 0, "n.work": 0}),
}


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        pytest.param("load[b]", "load[b]", id="one key"),
        pytest.param("clean[b]*", "clean[b] total n.work report", id="what collects a key needs all of it"),
        pytest.param(
            "load[b]+", "load[b] clean[b] parts[b] n.work[b]", id="what is mapped over the same keys has that key"
        ),
        pytest.param("*clean[b]", "files load[b] clean[b]", id="what a key needs"),
        pytest.param("++whole[b]", "whole[b] part[b] parts[b]", id="a collection needs its own key only"),
        pytest.param("part[b][x]+", "part[b][x] whole[b]", id="two keys"),
        pytest.param("part[b]", "part[b]", id="the first of two keys"),
        pytest.param("part[b][?]", "part[b]", id="every second key"),
        pytest.param("+part[b][x]", "parts[b] part[b][x]", id="a step with fewer keys"),
        pytest.param("n[b]", "n.work[b]", id="a key of a nested pipeline"),
        pytest.param("load[b],load", "load", id="a key and the whole"),
        pytest.param("load[a] load[b]", "load[a] load[b]", id="two of one step"),
        pytest.param("part[b][x] part[b]", "part[b]", id="a key within a key"),
    ],
)
def test_a_selection_may_name_keys(query, selected):
    found = select([query], MAPPED)
    shown = {key + "".join(f"[{one}]" for one in keys) for key, chosen in found.items() for keys in chosen}
    assert shown == set(selected.split())
