"""Configuration that user code gives as Python values reaches a run as it was meant: stored as JSON, and read back."""

import enum
import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from orchestrator import Preset
from orchestrator.errors import ConfigError
from orchestrator.typed import storable


class Color(enum.Enum):
    RED = "red"
    DEEP = PurePosixPath("a")


class Size(enum.IntEnum):
    L = 3


class Word(enum.StrEnum):
    A = "a"


@dataclass
class Place:
    path: Path = Path("q")
    more: list = field(default_factory=list)
    made: int = field(default=0, init=False)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (b"abc", "abc"),
        (bytearray("größe", "utf-8"), "größe"),
        (Path("a/b"), "a/b"),
        (Color.RED, "red"),
        (Color.DEEP, "a"),
        (Size.L, 3),
        (Word.A, "a"),
        (float("inf"), "inf"),
        (Place(Path("z"), [Color.RED]), {"path": "z", "more": ["red"]}),
        ({Color.RED: 1, Word.A: 2, Path("p"): 3}, {"red": 1, "a": 2, "p": 3}),
        (OrderedDict(a=(b"x", [Path("y")])), {"a": ["x", ["y"]]}),
        ({"deep": [{"er": {"est": b"x"}}]}, {"deep": [{"er": {"est": "x"}}]}),
    ],
)
def test_a_value_is_stored_as_what_it_means(value, stored):
    assert json.loads(json.dumps(storable({"it": value}))) == {"it": stored}


@pytest.mark.parametrize("value", [b"\x00\xff", [bytearray(b"\xff")], {None: 1}, {"a": {None: 1}}], ids=repr)
def test_a_value_that_json_has_no_form_for_is_refused(value):
    with pytest.raises(ConfigError, match=r"not UTF-8|is None"):
        storable({"it": value})


def test_a_preset_takes_enums_as_keys():
    assert Preset("p", config={"steps": {Word.A: {"config": {Color.RED: 1}}}}).config == {
        "steps": {"a": {"config": {"red": 1}}}
    }


def test_a_stored_run_gets_what_a_run_in_this_process_gets(bench):
    bench.write("""
        import enum
        from dataclasses import dataclass, field
        from pathlib import Path
        from orchestrator import Preset, pipeline, step

        class Color(enum.Enum):
            RED = "red"

        @dataclass
        class Inner:
            path: Path = Path("q")

        @dataclass
        class Config:
            data: bytes = b""
            path: Path = Path("x")
            inner: Inner = field(default_factory=Inner)
            color: Color | None = None
            by_color: dict[Color, int] = field(default_factory=dict)

        @step
        def show(config: Config) -> None:
            print(config, file=open("ledger", "a"))

        given = {
            "data": b"abc", "path": Path("a/b"), "inner": Inner(Path("z")), "color": Color.RED,
            "by_color": {Color.RED: 1},
        }

        @pipeline(presets=[Preset("all", config={"steps": {"show": {"config": given}}})])
        def shows():
            show()

        if __name__ == "__main__":
            shows.execute_in_process(preset="all")
    """)
    bench("run", "shows", "--preset", "all").ok()
    stored = bench.ledger()
    (bench.path / "ledger").unlink()
    bench("run", "--rerun", "last").ok()
    assert bench.ledger() == stored
    (bench.path / "ledger").unlink()
    subprocess.run([sys.executable, "pipelines.py"], cwd=bench.path, check=True)
    assert bench.ledger() == stored
    assert "b'abc'," in " ".join(stored)


def test_text_that_is_not_utf_8_is_kept_escaped_as_in_requests(bench):
    """The name of a file in another encoding, as `os.listdir` gives it."""
    bench.write("""
        from orchestrator import Preset, pipeline, step

        @step
        def show(config: dict):
            print(*config.items(), file=open("ledger", "a"))

        odd = b"\\xff.csv".decode(errors="surrogateescape")
        given = {"steps": {"show": {"config": {odd: [odd]}}}}

        @pipeline(presets=[Preset("odd", config=given, tags={"file": odd})], tags={"all": odd})
        def shows():
            show()
    """)
    bench("run", "shows", "--preset", "odd").ok()
    assert bench.ledger() == [r"('\\udcff.csv',", r"['\\udcff.csv'])"]
    assert bench.json("runs", "show", "last")["tags"] == {"file": r"\udcff.csv", "all": r"\udcff.csv"}
