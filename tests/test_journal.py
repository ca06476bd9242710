"""Journals survive being cut off anywhere."""

import os

import pytest

from orchestrator.journal import JournalWriter, read_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def written(path, *lines):
    writer = JournalWriter(path)
    writer.append([line + b"\n" for line in lines])
    writer.close()


def test_what_was_appended_is_read_in_order(path):
    written(path, b"one", b"two")
    assert read_lines(path).lines == [b"one", b"two"]


def test_reading_goes_on_where_it_ended(path):
    written(path, b"one")
    first = read_lines(path)
    written(path, b"two")
    assert read_lines(path, first.offset).lines == [b"two"]


def test_a_missing_journal_is_empty(path):
    assert read_lines(path, 5) == read_lines(path, 5)
    assert read_lines(path).lines == []


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_torn_last_line_is_not_seen_and_the_next_writer_cuts_it(path, cut):
    written(path, b"one", b"two")
    os.truncate(path, os.path.getsize(path) - cut)
    whole = [b"one"] if os.path.getsize(path) >= len(b"one\n") else []
    assert read_lines(path).lines == whole
    written(path, b"three")
    assert read_lines(path).lines == [*whole, b"three"]


def test_a_long_torn_line_is_cut_as_well(path):
    written(path, b"one")
    with path.open("ab") as file:
        file.write(b"x" * (3 << 20))
    assert read_lines(path).lines == [b"one"]
    written(path, b"two")
    assert read_lines(path).lines == [b"one", b"two"]


def test_a_file_that_is_nothing_but_a_torn_line_becomes_empty(path):
    path.write_bytes(b"never finished")
    JournalWriter(path).close()
    assert path.read_bytes() == b""


def test_lines_of_any_length_come_back_whole(path):
    lines = [b"a" * length for length in (0, 1, 4095, 4096, 1 << 20, (1 << 20) + 1)]
    written(path, *lines)
    assert read_lines(path).lines == lines


def test_a_journal_is_private(path):
    written(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600


def test_when_the_disk_is_full_no_part_of_the_lines_remains(path, monkeypatch):
    written(path, b"one")
    writer = JournalWriter(path)
    real_write, calls = os.write, []

    def write_some_then_fail(descriptor, data):
        calls.append(len(data))
        if len(calls) == 1:
            return real_write(descriptor, bytes(data)[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write_some_then_fail)
    with pytest.raises(OSError, match="No space left"):
        writer.append([b"two\n", b"three\n"])
    monkeypatch.undo()
    assert path.read_bytes() == b"one\n"
    writer.append([b"four\n"])
    assert read_lines(path).lines == [b"one", b"four"]
