"""No secret in any form in which programs usually write a value down."""

import base64
import html
import json
import re
import shlex
import string
import urllib.parse

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.masking import Masker

# However slow the machine is.
LOADED = settings(deadline=None, max_examples=40)
# Written apart from the module under test: what the standard library makes of a text.
WRITERS = {
    "plain": str,
    "in a sentence": lambda s: f"the password is {s}, is it not?",
    "repr": repr,
    "repr of a list": lambda s: repr([s, {"key": s}]),
    "repr beside a quote": lambda s: repr(f'{s} it\'s "so"'),
    "ascii": ascii,
    "repr of bytes": lambda s: repr(s.encode()),
    "json": lambda s: json.dumps({"password": s}),
    "json, not ascii": lambda s: json.dumps({"password": s}, ensure_ascii=False),
    "repr of json": lambda s: repr(json.dumps(s)),
    "repr of repr of bytes": lambda s: repr(repr([s.encode()])),
    "error with json": lambda s: str(KeyError(json.dumps({"a": s}))),
    "json in json": lambda s: json.dumps({"body": json.dumps({"password": s})}),
    "quote": urllib.parse.quote,
    "quote all": lambda s: urllib.parse.quote(s, safe=""),
    "quote_plus": urllib.parse.quote_plus,
    "urlencode": lambda s: urllib.parse.urlencode({"a": "b c", "password": s, "z": "ä"}),
    "url": lambda s: f"postgresql://ada:{urllib.parse.quote(s, safe='')}@db:5432/x",
    "lower-case percent": lambda s: re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), urllib.parse.quote(s, safe="")),
    "percent for everything": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "html": html.escape,
    "shell": shlex.quote,
    "sql": lambda s: "'" + s.replace("'", "''") + "'",
    "crlf": lambda s: s.replace("\n", "\r\n"),
}
CODES = {
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
}
secrets = st.text(min_size=8, max_size=60).filter(lambda s: len(s.strip()) >= 8 and "\0" not in s)
passwords = st.text(string.ascii_letters + string.digits + string.punctuation + " ", min_size=8, max_size=40).filter(
    lambda s: len(s.strip()) >= 8
)


@pytest.mark.parametrize("name", WRITERS)
@LOADED
@given(secret=st.one_of(passwords, secrets))
@example(secret="blank at the end of a line \nof two")
@pytest.mark.sample(9)
def test_no_usual_form_of_a_secret_is_left(name, secret):
    written = WRITERS[name](secret)
    masked = Masker([secret])(written)
    assert "***" in masked
    assert secret not in masked
    assert WRITERS[name](secret) not in masked


@pytest.mark.parametrize("name", CODES)
@LOADED
@given(secret=passwords, before=st.text(max_size=5), after=st.text(max_size=5))
def test_base64_of_something_around_a_secret_does_not_decode_to_it(name, secret, before, after):
    masked = Masker([secret])(f"Basic {CODES[name](before + secret + after)}")
    assert "***" in masked
    code = masked.partition(" ")[2].replace("***", "")
    assert len(code) <= len(CODES[name](before)) + len(CODES[name](after)) + 8, "a few letters at the edges are shared"


@LOADED
@given(secret=passwords, before=st.text(max_size=20), after=st.text(max_size=20))
def test_bytes_are_masked_as_text_is(secret, before, after):
    text = f"{before}{secret}{after}"
    assert secret.encode() not in Masker([secret]).data(text.encode())


@LOADED
@given(text=st.text(max_size=200), secret=passwords)
def test_text_without_a_secret_is_left_alone(text, secret):
    if not any(character in text for character in secret):
        assert Masker([secret])(text) == text


def test_each_line_of_a_secret_of_several_lines_is_hidden():
    masker = Masker(["-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n"])
    assert masker("read MIIEvQIBADAN from the file") == "read *** from the file"
    assert masker("BgkqhkiG9w0B\r\n-----END KEY-----") == "***\r\n***"


def test_the_longest_secret_goes_first():
    assert Masker(["enchantress", "enchantress-of-numbers"])("enchantress-of-numbers, enchantress") == "***, ***"


@pytest.mark.parametrize("short", ["a", "ab", "abc"])
def test_short_values_are_left_because_they_are_everywhere(short):
    assert not Masker([short])
    assert Masker([short])(f"the {short} of it") == f"the {short} of it"


def test_a_message_about_a_secret_quotes_no_piece_of_it():
    masker = Masker(["hunter2-0123456789", "abc"])
    assert masker.pieces("must not begin with 'hunt'") == "must not begin with '***'"
    assert masker.pieces("bad: abc, 0123, and 01") == "bad: ***, ***, and 01"


def test_a_surrogate_from_the_environment_is_no_problem():
    assert Masker(["pass\udcff word"])("it is pass\udcff word") == "it is ***"
