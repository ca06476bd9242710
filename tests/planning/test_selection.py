"""The selection language: which steps of a pipeline to run."""

import pytest

from orchestrator import ConfigError
from orchestrator.planning.select import select

# a -> b -> c -> d, a -> x, and a nested pipeline p with the steps p.q and p.r[?] after x.
UPSTREAM = {
    "a": frozenset(),
    "b": frozenset({"a"}),
    "c": frozenset({"b"}),
    "d": frozenset({"c"}),
    "x": frozenset({"a"}),
    "p.q": frozenset({"x"}),
    "p.r": frozenset({"p.q"}),
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
    ],
)
def test_a_selection_selects(queries, selected):
    upstream = {key + ("[?]" if key == "p.r" and "[?]" in queries[0] else ""): needs for key, needs in UPSTREAM.items()}
    found = {key.replace("[?]", "") for key in select(queries, upstream)}
    assert found == set(selected.split())


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        pytest.param("zz", "The selection 'zz' matches no step.", "There is: a, b, c, d, x, p.q, p.r.", id="unknown"),
        pytest.param("*p.s", "The selection '*p.s' matches no step.", "Did you mean p.r or p.q?", id="near"),
        pytest.param("", "The selection is empty.", "Write step,", id="empty"),
        pytest.param(" , ", "The selection is empty.", "Write step,", id="only separators"),
        pytest.param("a-b", "'a-b' is not a selection.", "Write step,", id="malformed"),
        pytest.param("**a", "'**a' is not a selection.", "Write step,", id="two stars"),
        pytest.param("*+a", "'*+a' is not a selection.", "Write step,", id="star and plus"),
        pytest.param("*", "'*' is not a selection.", "Write step,", id="star alone"),
    ],
)
def test_a_query_that_selects_nothing_is_refused(query, message, hint):
    with pytest.raises(ConfigError) as caught:
        select(["a", query], UPSTREAM)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)
