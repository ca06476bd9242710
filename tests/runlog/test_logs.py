"""Reading what attempts printed: complete lines, safe to show, the last state of a progress bar."""

import pytest

from orchestrator.attempts.log_limit import LogLimit
from orchestrator.layout import AttemptDir
from orchestrator.model.log_lines import Lines, last_of
from orchestrator.runlog.logs import LogFile, LogReader, printable, printable_lines


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain", "plain"),
        (b"1%\r2%\r100% done", "100% done"),
        (b"windows\r", "windows"),
        (b"1%\r2%\r   \r", "2%"),
        (b"\r\r", ""),
        (b"".join(b"\r%d%%" % n for n in range(5000)), "4999%"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]52;c;aGk=\x07copied", "copied"),
        (b"caf\xe9", "caf\ufffd"),
        ("abc\u202edef".encode(), "abcdef"),
        (b"x" * 9000, "x" * 2000 + "… (9,000 bytes)"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would_leave_it_and_cannot_disturb_one(line, shown):
    assert printable(line) == shown
    assert printable_lines(b"before\n" + line + b"\nafter") == ["before", shown, "after"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_however_a_file_is_read_its_lines_are_the_same(tmp_path, chunk):
    path = tmp_path / "stdout.log"
    path.write_bytes("ä\nbb\n\nccc\nend".encode())
    reader, found = LogReader(LogFile("s", 1, "stdout", path)), []
    with path.open("rb") as file:
        for upto in [*range(chunk, path.stat().st_size, chunk), path.stat().st_size]:
            for lines in reader.read(file, upto=upto, final=upto == path.stat().st_size):
                found += lines
    assert found == ["ä", "bb", "", "ccc", "end"]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 100])
def test_the_last_lines_are_the_last_lines(count):
    batches = [Lines("s", "stdout", ["1", "2", "3"]), Lines("s", "log", ["4"]), Lines("t", "stderr", ["5"])]
    shown = [line for batch in last_of(batches, count) for line in batch.lines]
    assert shown == ["1", "2", "3", "4", "5"][max(0, 5 - count) :]


def test_output_beyond_the_limit_is_cut_off_and_the_log_says_so(tmp_path):
    directory, limit = AttemptDir(tmp_path), LogLimit(AttemptDir(tmp_path), 1)
    limit.enforce()
    with directory.stdout.open("ab") as printing:
        for _ in range(3):
            printing.write(b"x" * (2 << 20))
            printing.flush()
            limit.enforce()
            content = directory.stdout.read_bytes()
            assert content.startswith(b"x" * (1 << 20))
            assert content[1 << 20 :].count(b"more than 1 MB") == 1
    directory.stderr.write_bytes(b"y" * (1 << 20))
    limit.enforce()
    assert directory.stderr.stat().st_size == 1 << 20
