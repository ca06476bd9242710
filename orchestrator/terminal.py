"""Text made safe to show: what a terminal would act on, what an encoding lacks, and whether color is wanted. Writes
nothing.

Names, keys, messages and tracebacks come from user code and from data. A terminal obeys control characters in them: an
escape sequence can clear the screen, set the clipboard, or hide the lines around it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

# The error handler of an output stream: a mark that the encoding lacks becomes a plain one, anything else an escape.
SUBSTITUTE = "orchestrator.substitute"

# Whole sequences, which colored output is full of: they are removed. CSI; then OSC, DCS, SOS, PM and APC with their
# end; then the short ones.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\`-~]"
)
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Control characters but tab and newline, and those that change the direction of writing.
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
# JSON allows these in a string, raw or escaped. The ones below space are always escaped.
_UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f{_BIDI}]")

_PLAIN = {
    "✓": "ok",
    "✗": "x",
    "▸": ">",
    "↻": "~",
    "○": "o",
    "·": ".",
    "−": "-",
    "–": "-",
    "■": "#",
    "…": "...",
    "━": "=",
    "─": "-",
    "│": "|",
    "├": "|",
    "╰": "`",
    "⇉": "=>",
    "→": "->",
    "←": "<-",
}


def printable(text: str) -> str:
    """The text without escape sequences. Other control characters show as escapes; tabs and newlines stay."""
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(_escaped, _SEQUENCE.sub("", text.replace("\r\n", "\n")))


def on_one_line(text: str) -> str:
    """The same, with newlines and tabs as escapes: for a cell of a table."""
    text = printable(text)
    return text.replace("\n", "\\n").replace("\t", "\\t") if "\n" in text or "\t" in text else text


def safe_json(text: str, *, only_ascii: bool = False) -> str:
    """The same JSON with everything that a terminal would act on escaped: it decodes to the same values."""
    if only_ascii and not text.isascii():
        return "".join(char if char.isascii() else _json_escape(char) for char in safe_json(text))
    return _UNSAFE_IN_JSON.sub(lambda found: _json_escape(found[0]), text)


def encodable(text: str, encoding: str) -> str:
    """The text as a stream of that encoding will show it, with plain marks where it lacks ours."""
    return text if text.isascii() else text.encode(encoding, SUBSTITUTE).decode(encoding, "replace")


def wants_color(environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether to paint: NO_COLOR forbids it, FORCE_COLOR and CLICOLOR_FORCE ask for it, else only a terminal has it."""
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("FORCE_COLOR", "")
    if forced:
        return forced not in ("0", "false")
    if environment.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return is_terminal and environment.get("TERM") != "dumb" and environment.get("CLICOLOR") != "0"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("ascii", "backslashreplace").decode() if ord(found[0]) > 127 else f"\\x{ord(found[0]):02x}"


def _json_escape(char: str) -> str:
    pair = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pair[at : at + 2].hex()}" for at in range(0, len(pair), 2))


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = (_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in lacking)
    return "".join(plain), error.end


codecs.register_error(SUBSTITUTE, _substitute)
