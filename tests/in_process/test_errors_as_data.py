"""What is kept of an exception: its class, its message, the user's own frames, its cause."""

import asyncio
import bdb
import sys

import pandas as pd
import pytest

from orchestrator import Failure, Mode, duckdb_io_manager, pipeline, step
from tests.definitions.short import run_function


def error_of(function):
    return run_function(function).failure("it")


class BadRow(Exception):
    pass


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("I cannot say")


def raises(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        pytest.param(ValueError("no"), "ValueError", "no", id="builtin"),
        pytest.param(BadRow("row 3"), f"{__name__}.BadRow", "row 3", id="of the user's own"),
        pytest.param(Failure("bad"), "Failure", "bad", id="Failure"),
        pytest.param(KeyError("name"), "KeyError", "'name'", id="KeyError"),
        pytest.param(Mute(), f"{__name__}.Mute", "(its message could not be made: its own __str__ failed)", id="mute"),
        pytest.param(ValueError(), "ValueError", "", id="without a message"),
    ],
)
def test_an_exception_has_its_class_and_its_message(error, kind, message):
    found = error_of(raises(error))
    assert (found.kind, found.message) == (kind, message)
    assert found.headline() == (f"{kind}: {message}" if message else kind)


def test_notes_belong_to_the_message():
    error = ValueError("no")
    error.add_note("in row 3")
    assert error_of(raises(error)).message == "no\nin row 3"


def test_a_very_long_message_is_cut():
    message = error_of(raises(ValueError("x" * 100_000))).message
    assert len(message) < 70_000
    assert message.endswith("... (34464 more characters)")


def test_the_cause_is_kept_and_so_is_what_was_being_handled():
    def explicit():
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner

    def implicit():
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer")  # noqa: B904

    def hidden():
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer") from None

    assert error_of(explicit).cause.kind == "KeyError"
    assert error_of(implicit).cause.kind == "KeyError"
    assert error_of(hidden).cause is None


def test_frames_lead_to_where_it_happened_and_leave_ours_out():
    def deeper():
        raise ValueError("here")

    def body():
        deeper()

    frames = error_of(body).frames
    assert [frame.function for frame in frames] == ["body", "deeper"]
    assert all(frame.file == __file__ for frame in frames)
    assert frames[-1].source == 'raise ValueError("here")'


def test_an_error_that_no_line_of_the_users_raised_leads_to_the_step():
    @step
    def give() -> int:
        return "a text"

    @pipeline
    def giving():
        give()

    (frame,) = giving.execute_in_process().failure("give").frames
    assert (frame.file, frame.function, frame.source) == (__file__, "give", "def give() -> int:")


def test_an_error_inside_a_library_that_no_line_of_the_users_called_leads_to_the_step(tmp_path):
    (tmp_path / "no.duckdb").write_text("this is no database" * 1000)

    @step
    def give() -> pd.DataFrame:
        return pd.DataFrame({"x": [1, 2]})

    @pipeline(modes=[Mode("m", resources={"io_manager": duckdb_io_manager(tmp_path / "no.duckdb")})])
    def giving():
        give()

    first, *others = giving.execute_in_process().failure("give").frames
    assert (first.file, first.source) == (__file__, "def give() -> pd.DataFrame:")
    assert others
    assert not any("orchestrator/io_managers" in frame.file for frame in others)


def test_of_very_many_frames_the_first_and_the_last_are_kept():
    def body(depth=0):
        return body(depth + 1)

    error = error_of(body)
    assert error.kind == "RecursionError"
    assert len(error.frames) == 40


def test_each_exception_of_a_group_is_named():
    async def fails(error):
        raise error

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(ValueError("left")))
            group.create_task(fails(KeyError("right")))

    assert error_of(body).message == (
        "unhandled errors in a TaskGroup (2 sub-exceptions)\n- ValueError: left\n- KeyError: 'right'"
    )


def test_metadata_of_a_failure_is_kept_also_of_a_subclass():
    class Empty(Failure):
        def __init__(self):
            super().__init__("nothing there", {"rows": 0})

    @step
    def it():
        raise Empty

    error = error_of(it.function)
    assert (error.kind.rpartition(".")[2], error.message, error.metadata) == ("Empty", "nothing there", {"rows": 0})


class Bare(Exception):
    """With the name of a module that is no text."""


Bare.__module__ = None


class Ends(Exception):
    def __str__(self):
        raise SystemExit(3)


class Refuses(Exception):
    def __getattribute__(self, name):
        raise RuntimeError(f"no {name}")


class OddText(Exception):
    class Text(str):
        def __str__(self):
            raise RuntimeError("no")

        def __len__(self):
            raise RuntimeError("no")

    def __str__(self):
        return OddText.Text("readable")


def noted(notes):
    error = ValueError("no")
    error.__notes__ = notes
    return error


def nested(depth):
    group = ExceptionGroup("innermost", [ValueError("the cause")])
    for number in range(depth):
        group = ExceptionGroup(f"level {number}", [group])
    return group


def mangled_syntax_error():
    error = SyntaxError("bad")
    error.text, error.lineno, error.offset = object(), "x", []
    return error


def unplain_failure():
    error = Failure("bad")
    error.metadata, error.allow_retries = object(), "no"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(noted(["a note", 3, None]), "ValueError", "no\na note", id="notes that are no text"),
        pytest.param(noted(7), "ValueError", "no", id="notes that are no list"),
        pytest.param(Bare("bare"), "Bare", "bare", id="no module"),
        pytest.param(Ends(), f"{__name__}.Ends", "__str__ failed", id="ends the process"),
        pytest.param(Refuses("words"), f"{__name__}.Refuses", "words", id="refuses attributes"),
        pytest.param(OddText(), f"{__name__}.OddText", "readable", id="odd text"),
        pytest.param(nested(3000), "ExceptionGroup", "level 2999", id="deep group"),
        pytest.param(ExceptionGroup("wide", [ValueError("x")] * 5000), "ExceptionGroup", "and more", id="wide group"),
        pytest.param(mangled_syntax_error(), "SyntaxError", "", id="mangled"),
        pytest.param(unplain_failure(), "Failure", "", id="a Failure with other metadata"),
    ],
)
def test_an_exception_that_cannot_be_described_is_recorded_all_the_same(error, kind, words):
    found = error_of(raises(error))
    assert found.kind == kind
    assert words in found.message


def test_an_error_for_want_of_memory_says_so_and_how_much_it_wanted():
    assert "Out of memory" in error_of(raises(MemoryError())).message
    said = error_of(lambda: bytearray(1 << 62)).message
    assert "Out of memory" in said


def test_a_debugger_without_a_terminal_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert "execute_in_process" in error_of(raises(bdb.BdbQuit())).message
