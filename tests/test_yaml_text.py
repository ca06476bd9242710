"""YAML 1.2 with its core schema: what is read as a number, what stays text, and what is refused."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.typed import Typed, plain, typed_texts, with_texts
from orchestrator.yaml_text import NotYaml, read_json, read_yaml

# From section 10.3.2 of the specification of YAML 1.2.2, and its neighborhood.
NUMBERS = {
    "0": 0, "7": 7, "-19": -19, "+12": 12, "010": 10, "01234": 1234, "0o14": 12, "0x3A": 58,
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -200000.0, "1.10": 1.1, "1e3": 1000.0,
    "9223372036854775807": 9223372036854775807, "-9223372036854775808": -9223372036854775808,
}  # fmt: skip
OTHERS = {"true": True, "True": True, "FALSE": False, "null": None, "Null": None, "~": None}
TEXTS = [
    "yes", "no", "on", "off", "y", "N", "tRUE", "nULL", "12:30", "1:30:00", "190:20:30", "1_000", "0b101", "0o8", "0x",
    "0x_",
     "1e", "e3", ".", "+", "2020-12-30", "2023-02-30", "2020-12-30 00:00:00", "2020-12-30T10:00:80Z", "=", "1.2.3",
    "nan", "inf",     ".Inf2",
    "9223372036854775808", "1e999", "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", [*NUMBERS, *OTHERS])
def test_a_value_that_is_not_text_keeps_what_was_typed(text):
    read = read_yaml(f"a: {text}").data["a"]
    expected = {**NUMBERS, **OTHERS}[text]
    assert (read.text, read.value, type(read.value)) == (text, expected, type(expected))


@pytest.mark.parametrize("text", TEXTS)
def test_everything_else_is_text(text):
    assert read_yaml(f"a: {text}").data == {"a": text}


@pytest.mark.parametrize("text", ["'1'", '"1"', "!!str 1", "! 1", "|-\n  1"])
def test_quotes_and_tags_make_text_of_a_number(text):
    assert read_yaml(f"a: {text}").data == {"a": "1"}


def test_the_ends_of_floating_point_numbers():
    read = read_yaml("[.inf, -.INF, .nan]").data
    assert [one.value for one in read[:2]] == [math.inf, -math.inf]
    assert math.isnan(read[2].value)


def test_keys_are_text_as_typed():
    assert list(read_yaml("{1: a, null: b, yes: c, 0x10: d, 1.0: e}").data) == ["1", "null", "yes", "0x10", "1.0"]


def test_a_value_left_empty_is_nothing():
    assert read_yaml("a:\nb: [~, ]").data == {"a": None, "b": [Typed("~", None)]}
    assert read_yaml("").data is None


def test_anchors_and_merges():
    document = read_yaml(
        "base: &b {x: 01, y: 2}\nover: {<<: *b, y: 3}\nboth: {<<: [{x: 9, z: 8}, *b]}\nkey: {&k a: *k}"
    )
    assert plain(document.data) == {
        "base": {"x": 1, "y": 2},
        "over": {"x": 1, "y": 3},
        "both": {"x": 9, "y": 2, "z": 8},
        "key": {"a": "a"},
    }
    assert document.data["over"]["x"].text == "01"


def test_keys_given_twice_are_found_with_their_lines():
    document = read_yaml("a: 1\nb:\n  c: 1\n  'c': 2\na: 3")
    assert [(place, document.lines[place]) for place in document.twice] == [(("b", "c"), 4), (("a",), 5)]


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: !!timestamp x", 2, "the tag !!timestamp is not supported"),
        ("!!python/object/apply:os.system [x]", 1, "!!python/object/apply:os.system is not supported"),
        ("!!int x", 1, "'x' is not !!int"),
        ("!!float ''", 1, "'' is not !!float"),
        ("!!bool 1", 1, "'1' is not !!bool"),
        ("!!binary =", 1, "not supported"),
        ("!!set {a}", 1, "the tag !!set is not supported"),
        ("&a [*a]", 1, "the value called &a contains itself"),
        ("a: &a {b: {<<: *a}}", 1, "the value called &a contains itself"),
        ("[*x]", 1, "&x is defined nowhere before this"),
        (BOMB, 4, "expand to far more than is written"),
        ("- a\n- <<: 3", 2, "merges mappings"),
        ("? [a]\n: b", 1, "a key must be text"),
        ("? {a: b}\n: b", 1, "a key must be text"),
        ("a\n---\nb", 2, "several documents"),
        ("[" * 101, 1, "nested deeper than 100 levels"),
        ("a: [", 2, "did not find expected node content"),
        ("a: \x00", 0, "control characters are not allowed"),
        ("a: \ud800", 0, "surrogate"),
    ],
)
def test_what_is_refused_has_a_reason_and_its_line(text, line, said):
    with pytest.raises(NotYaml) as refused:
        read_yaml(text)
    assert said in refused.value.problem
    assert refused.value.line == line


def test_aliases_that_expand_to_little_are_fine():
    text = "a: &a {x: 1}\nb: [" + ", ".join(["*a"] * 1000) + "]"
    assert len(read_yaml(text).data["b"]) == 1000


_SIMPLE = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
_JSON = st.recursive(
    _SIMPLE | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc123"), inner),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(_JSON)
def test_json_is_read_as_json_reads_it(value):
    assert plain(read_yaml(json.dumps(value, ensure_ascii=False)).data) == value
    assert plain(read_json(json.dumps(value))) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"a": 1, "a": 2}', "'a' is given twice"), ("[NaN]", "no NaN"), ("{", "Expecting"), ("[" * 10**5, "deep")],
)
def test_json_that_is_refused(text, said):
    with pytest.raises(NotYaml, match=said):
        read_json(text)


def test_json_may_have_tabs_and_surrogate_pairs():
    assert read_json('{\t"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=30) | st.text("-[]{}:,&*a!<\"'|>%#?~0.\n ", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        data = read_yaml(text).data
    except NotYaml:
        return
    rebuilt = with_texts(plain(data), typed_texts(data))
    assert rebuilt == data or "nan" in text.lower()
