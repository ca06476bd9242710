"""Masks secrets in text: the values that a workspace takes from the environment, in each form in which programs write
values down. Every way out of a location's processes passes through here.
"""

from __future__ import annotations

import base64
import html
import re
import shlex
from collections.abc import Iterable, Iterator
from functools import cached_property

MASK = "***"
# A text of this length or less may turn up anywhere by chance: it is not looked for.
SHORT = 3
# Likewise for one line of a secret of several, for a piece of one, and for an encoding that has lost its beginning.
_SHORT_LINE = 5
_SHORT_PIECE = 4
_SHORT_CODE = 8
_NAMED = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a", "\0": "0"}


class Masker:
    """Replaces secrets by `***`. Two maskers of the same secrets are equal."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(secrets)

    def __bool__(self) -> bool:
        return any(len(secret) > SHORT for secret in self.secrets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masker) and other.secrets == self.secrets

    def __hash__(self) -> int:
        return hash(self.secrets)

    def __or__(self, more: Iterable[str]) -> Masker:
        """A masker of these secrets and more."""
        return Masker(self.secrets.union(more))

    def __call__(self, text: str) -> str:
        """The text without any secret of more than three characters, in whatever usual form."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        for signs, patterns in self._patterns:
            if any(sign in text for sign in signs):
                for pattern in patterns:
                    text = pattern.sub(MASK, text)
        return text

    def data(self, data: bytes) -> bytes:
        """The same for bytes that are about to be written somewhere."""
        for form in self._encoded:
            if form in data:
                data = data.replace(form, MASK.encode())
        for signs, patterns in self._data_patterns:
            if any(sign in data for sign in signs):
                for pattern in patterns:
                    data = pattern.sub(MASK.encode(), data)
        return data

    def pieces(self, text: str) -> str:
        """The text without any piece of a secret, for a message whose subject is the secret itself."""
        for secret in sorted(self.secrets - {""}, key=len, reverse=True):
            if len(secret) <= SHORT:
                # It may be part of any word; by itself it is hidden.
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
        return "".join(_without_pieces(self(text), [one for one in self.secrets if len(one) > SHORT]))

    @cached_property
    def _forms(self) -> list[str]:
        found = {form for secret in self.secrets if len(secret) > SHORT for form in _forms(secret)}
        return sorted((form for form in found if len(form) > SHORT), key=lambda form: (-len(form), form))

    @cached_property
    def _encoded(self) -> list[bytes]:
        return [form.encode(errors="surrogateescape") for form in self._forms]

    @cached_property
    def _patterns(self) -> list[tuple[tuple[str, ...], list[re.Pattern[str]]]]:
        """Each with the signs of which a text needs one, or nothing can be found in it."""
        texts = sorted(
            (text for one in self.secrets if len(one) > SHORT for text in _texts(one)), key=len, reverse=True
        )
        return [
            (("\\",), [re.compile("".join(map(_in_source, text))) for text in texts]),
            (("%", "+"), [re.compile("".join(map(_in_url, text))) for text in texts]),
        ]

    @cached_property
    def _data_patterns(self) -> list[tuple[tuple[bytes, ...], list[re.Pattern[bytes]]]]:
        return [
            (
                tuple(sign.encode() for sign in signs),
                [re.compile(pattern.pattern.encode(errors="surrogateescape")) for pattern in patterns],
            )
            for signs, patterns in self._patterns
        ]


def _texts(secret: str) -> set[str]:
    """The secret, and what of it may turn up by itself."""
    lines = [line.strip() for line in secret.splitlines()]
    texts = {secret, secret.strip()}
    if len(lines) > 1:
        texts |= {line for line in lines if len(line) > _SHORT_LINE}
        unix = secret.replace("\r\n", "\n")
        texts |= {"\r\n".join(lines), "\n".join(lines), unix, unix.replace("\n", "\r\n")}
    return {text for text in texts if len(text) > SHORT}


def _forms(secret: str) -> Iterator[str]:
    for text in _texts(secret):
        yield from _written(text)
        yield from _coded(text.encode(errors="surrogateescape"))


def _written(text: str) -> Iterator[str]:
    """How a text is quoted without backslashes: in a shell, SQL, YAML, HTML and XML."""
    yield text
    yield shlex.quote(text).strip("'")
    yield text.replace("'", "''")
    yield text.replace('"', '""')
    escaped = html.escape(text)
    yield escaped
    yield escaped.replace("&#x27;", "'")
    yield escaped.replace("&#x27;", "'").replace("&quot;", '"')
    yield escaped.replace("&#x27;", "&apos;")
    yield escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _coded(data: bytes) -> Iterator[str]:
    yield data.hex()
    yield data.hex().upper()
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        whole = encode(data).decode()
        yield whole
        yield whole.rstrip("=")
        # Inside of something longer ("user:secret") it begins at any of three places, and its ends are mixed with
        # what stands beside it.
        for before, start in ((0, 0), (1, 2), (2, 3)):
            inner = encode(b"\0" * before + data).decode()[start : (before + len(data)) * 8 // 6]
            if len(inner) >= _SHORT_CODE:
                yield inner


def _in_url(character: str) -> str:
    """Matches a character that may be percent-encoded."""
    percent = "".join(f"%(?i:{byte:02x})" for byte in _bytes(character))
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|{percent}{plus})"


def _in_source(character: str) -> str:
    """Matches a character as source code and JSON write it, with any number of backslashes before it: what is quoted is
    often quoted again."""
    if character == "\\":
        return r"\\+"
    if character.isascii() and character.isprintable():
        return character if character.isalnum() else rf"\\*{re.escape(character)}"
    units = character.encode("utf-16-be", "surrogatepass").hex()
    pairs = "".join(rf"\\+u(?i:{units[start : start + 4]})" for start in range(0, len(units), 4))
    options = [re.escape(character), pairs, rf"\\+U(?i:{ord(character):08x})"]
    options.append("".join(rf"\\+x(?i:{byte:02x})" for byte in _bytes(character)))
    if ord(character) < 256:
        options.append(rf"\\+x(?i:{ord(character):02x})")
    if character in _NAMED:
        options.append(rf"\\+{_NAMED[character]}")
    return f"(?:{'|'.join(options)})"


def _bytes(character: str) -> bytes:
    return character.encode(errors="surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")


def _without_pieces(text: str, secrets: list[str]) -> Iterator[str]:
    position = 0
    while position < len(text):
        length = max((_common(text, position, secret) for secret in secrets), default=0)
        if length >= _SHORT_PIECE:
            yield MASK
            position += length
        else:
            yield text[position]
            position += 1


def _common(text: str, position: int, secret: str) -> int:
    """How many characters from this position on stand somewhere in the secret like this."""
    end = position + _SHORT_PIECE
    if text[position:end] not in secret or end > len(text):
        return 0
    while end < len(text) and text[position : end + 1] in secret:
        end += 1
    return end - position


NOTHING = Masker()
