"""How an error is shown: the user's own lines, and no library's insides."""

import pytest

from orchestrator.cli.runs_view import metadata_summary, without_library_frames
from orchestrator.model.error_info import Frame

SITE = "/home/ada/.venv/lib/python3.12/site-packages"


def frames(*files):
    return tuple(Frame(file, number, "f") for number, file in enumerate(files))


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        pytest.param(["/home/ada/a.py", "/home/ada/b.py"], ["/home/ada/a.py", "/home/ada/b.py"], id="all the user's"),
        pytest.param(
            ["/home/ada/a.py", f"{SITE}/pandas/io/parsers.py", f"{SITE}/pandas/io/common.py"],
            ["/home/ada/a.py", "(2 frames inside pandas)"],
            id="an installed library",
        ),
        pytest.param(
            ["/home/ada/a.py", "/usr/lib/python3.11/json/decoder.py", "/home/ada/b.py"],
            ["/home/ada/a.py", "(1 frame inside json)", "/home/ada/b.py"],
            id="the standard library, and back",
        ),
        pytest.param(
            ["/home/ada/a.py", "/usr/lib/python3/dist-packages/six.py", "pyarrow/_csv.pyx", "pyarrow/error.pxi"],
            ["/home/ada/a.py", "(3 frames inside six, pyarrow)"],
            id="several, one of them compiled",
        ),
        pytest.param([f"{SITE}/pandas/a.py"], [f"{SITE}/pandas/a.py"], id="none of the user's: all are kept"),
        pytest.param([], [], id="none at all"),
    ],
)
def test_frames_inside_libraries_are_counted_and_not_shown(files, shown):
    found = [frame if isinstance(frame, str) else frame.file for frame in without_library_frames(frames(*files))]
    assert found == shown


def table(rows):
    return {"kind": "table", "value": [{"x": number} for number in range(rows)]}


@pytest.mark.parametrize(
    ("metadata", "summary"),
    [
        pytest.param({"rows": 1200, "book": table(1)}, "rows 1,200", id="small-and-large"),
        pytest.param({"book": table(2)}, "book table of 2 rows", id="only-large"),
        pytest.param({}, "", id="none"),
    ],
)
def test_metadata_on_a_line(metadata, summary):
    assert metadata_summary(metadata) == summary
