"""Text made safe to show: what is removed, what stays, and what an encoding does to it."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.terminal import SUBSTITUTE, encodable, on_one_line, printable, safe_json, wants_color

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
OBEYED = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *BIDI} - {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain ünï ✓", "plain ünï ✓", id="plain"),
        pytest.param("a\tb\nc", "a\tb\nc", id="tabs and newlines stay"),
        pytest.param("a\r\nb", "a\nb", id="DOS lines"),
        pytest.param("\x1b[31mred\x1b[0m", "red", id="color"),
        pytest.param("\x1b[38:2::1:2:3mred\x1b[m", "red", id="color with colons"),
        pytest.param("\x1b]52;c;aGk=\x07x", "x", id="clipboard, ended by BEL"),
        pytest.param("\x1b]0;title\x1b\\x", "x", id="title, ended by ST"),
        pytest.param("\x1bPq#0\x1b\\x", "x", id="picture"),
        pytest.param("\x9b2Jx", "x", id="clear, in one byte"),
        pytest.param("\x1bcx", "x", id="reset"),
        pytest.param("\x1b]0;never ended\nx", "\\x1b]0;never ended\nx", id="what has no end hides nothing"),
        pytest.param("a\x07b\x00c\x7fd", "a\\x07b\\x00c\\x7fd", id="control characters"),
        pytest.param("gpj.\u202eexe", "gpj.\\u202eexe", id="direction"),
    ],
)
def test_what_a_terminal_would_obey_is_removed_or_escaped(text, shown):
    assert printable(text) == shown


@given(st.text(st.sampled_from([*OBEYED, *"[]52;?mJc\\ \n\tPqa✓"])))
def test_nothing_that_a_terminal_obeys_is_left_whatever_the_order(text):
    shown = printable(text)
    assert not OBEYED & set(shown)
    assert printable(shown) == shown


def test_a_cell_is_one_line():
    assert on_one_line("a\nb\tc\x07") == "a\\nb\\tc\\x07"


@given(st.text())
def test_json_decodes_to_the_same_and_holds_nothing_that_is_obeyed(text):
    raw = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(safe_json(raw)) == {"text": text}
    assert not OBEYED & set(safe_json(raw))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_in_ascii_decodes_to_the_same(text):
    plain = safe_json(json.dumps({"text": text}, ensure_ascii=False), only_ascii=True)
    assert plain.isascii()
    assert json.loads(plain) == {"text": text}


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "✓ ✗ · … caf\xe9 \\udc80"),
        ("latin-1", "ok x · ... caf\xe9 \\udc80"),
        ("ascii", "ok x . ... caf\\xe9 \\udc80"),
    ],
)
def test_a_stream_shows_plain_marks_where_its_encoding_lacks_ours(encoding, shown):
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, errors=SUBSTITUTE)
    stream.write("✓ ✗ · … caf\xe9 \udc80")
    stream.flush()
    assert buffer.getvalue().decode(encoding) == shown == encodable("✓ ✗ · … caf\xe9 \udc80", encoding)


@pytest.mark.parametrize(
    ("environment", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"CLICOLOR": "0"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, False, False),
    ],
)
def test_the_environment_says_whether_to_paint(environment, terminal, pipe):
    assert wants_color(environment, is_terminal=True) is terminal
    assert wants_color(environment, is_terminal=False) is pipe
