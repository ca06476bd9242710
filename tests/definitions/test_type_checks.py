"""Which values fit which annotations, and what is said of one that does not."""

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NewType, Optional, Union

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from orchestrator.definitions.type_checks import plain_scalar, type_name, type_problem


class Color(enum.Enum):
    RED = 1


class Person(typing.TypedDict):
    name: str


@dataclasses.dataclass
class Point:
    x: int = 0


class Runs(typing.Protocol):
    def run(self): ...


UserId = NewType("UserId", int)
T = typing.TypeVar("T")

FITS = [
    (1, int),
    ("a", str),
    (None, None),
    (None, type(None)),
    ([1, "x"], list),
    (Point(), Point),
    (Color.RED, Color),
    (object(), object),
    (3, Any),
    # An int is as good as a float, at any depth; a bool is neither, but is a bool.
    (1, float),
    (True, bool),
    ([0, 0.5, 1], list[float]),
    ([[1], [0.5]], list[list[float]]),
    ({"a": 1}, dict[str, float]),
    ([{"a": [1]}], list[dict[str, list[float]]]),
    (1, float | None),
    ([1, None], list[float | None]),
    ((1, "a"), tuple[float, str]),
    (True, int | bool),
    # Generics.
    ([1, 2], list[int]),
    ([], list[int]),
    ({"a": 1}, dict[str, int]),
    ({1, 2}, set[int]),
    ((1, 2, 3), tuple[int, ...]),
    ((1, "a"), tuple[int, str]),
    ((), tuple[()]),
    ([1], Sequence[int]),
    ("ab", Sequence[str]),
    ([1], Iterable[int]),
    ({"a": 1}, Mapping[str, int]),
    (iter([1]), Iterator[int]),
    (len, Callable),
    (len, Callable[..., int]),
    # Alternatives.
    (None, Optional[int]),  # noqa: UP045
    (3, Optional[int]),  # noqa: UP045
    ("x", Union[int, str]),  # noqa: UP007
    ("x", int | str),
    ("a", Literal["a", "b"]),
    (1, Annotated[int, "how many"]),
    (1, UserId),
    # Tables and numpy.
    (pa.table({"a": [1]}), pa.Table),
    (pd.DataFrame(), pd.DataFrame),
    (pl.DataFrame(), pl.DataFrame),
    (np.float64(1.5), float),
    (np.int64(1), np.integer),
    # Scalars of numpy are as good as Python's own, at any depth.
    (np.int64(1), int),
    (np.uint8(1), float),
    (np.float32(1.5), float),
    (np.bool_(True), bool),
    (np.int64(1), int | None),
    (np.int64(1), Annotated[int, "how many"]),
    (np.int64(1), Literal[1, 2]),
    ([np.int64(1), 2], list[int]),
    ([np.float32(1.5)] * 5000, Sequence[float]),
    ({"a": [np.bool_(False)]}, dict[str, list[bool]]),
    ((np.int64(1), "a"), tuple[int, str]),
    (datetime(2024, 1, 1, tzinfo=UTC), date),
]

MISFITS = [
    (1.0, int, "expected int, got 1.0 (float)"),
    ("1", int, "expected int, got '1' (str)"),
    (None, int, "expected int, got None"),
    (0, None, "expected None, got 0 (int)"),
    (True, int, "expected int, got True (bool)"),
    (True, float, "expected float, got True (bool)"),
    (True, int | None, "expected int | None, got True (bool)"),
    ([True], list[int], "expected list[int], got a list with True (bool) at 0"),
    ([True], list[float | None], "expected list[float | None], got a list with True (bool) at 0"),
    ([1, "x"], list[int], "expected list[int], got a list with 'x' (str) at 1"),
    ([[1], ["x"]], list[list[int]], "expected list[list[int]], got a list with a list at 1 with 'x' (str) at 0"),
    ({"a": "x"}, dict[str, int], "expected dict[str, int], got a dict with 'x' (str) at a"),
    ({1: 1}, dict[str, int], "expected dict[str, int], got a dict with 1 (int) as a key"),
    ((1, 2), tuple[int, str], "expected tuple[int, str], got a tuple with 2 (int) at 1"),
    ((1,), tuple[int, str], "expected tuple[int, str], got a tuple with 1 member, not 2"),
    ((1, 2, 3), tuple[int, int], "expected tuple[int, int], got a tuple with 3 members, not 2"),
    ((1,), tuple[()], "expected tuple[()], got a tuple with 1 member, not 0"),
    (
        [(1, 2)],
        list[tuple[int]],
        "expected list[tuple[int]], got a list with a tuple at 0 with 2 members, not 1",
    ),
    (["x"] * 5000, list[int], "expected list[int], got a list with 'x' (str) at 0"),
    ((1,), list[int], "expected list[int], got a tuple"),
    ("x", Optional[int], "expected Optional[int], got 'x' (str)"),  # noqa: UP045
    (1.5, Union[int, str], "expected Union[int, str], got 1.5 (float)"),  # noqa: UP007
    ("c", Literal["a", "b"], "expected Literal['a', 'b'], got 'c' (str)"),
    ("x", Annotated[int, "how many"], "expected Annotated[int, 'how many'], got 'x' (str)"),
    (b"x", str, "expected str, got b'x' (bytes)"),
    (1, pa.Table, "expected pyarrow.lib.Table, got 1 (int)"),
    (pd.DataFrame(), pa.Table, "expected pyarrow.lib.Table, got a pandas.DataFrame"),
    (np.int64(1), bool, "expected bool, got a numpy.int64"),
    (np.float32(1), int, "expected int, got a numpy.float32"),
    (np.bool_(True), int, "expected int, got a numpy.bool"),
    (np.bool_(True), float, "expected float, got a numpy.bool"),
    (np.array(1), int, "expected int, got a numpy.ndarray"),
    ([np.int64(1), "x"], list[int], "expected list[int], got a list with 'x' (str) at 1"),
    ((np.int64(1),), tuple[int, int], "expected tuple[int, int], got a tuple with 1 member, not 2"),
    (object(), str, "expected str, got an object"),
    ("x" * 100, int, "expected int, got '" + "x" * 56 + "... (str)"),
    (3, Person, f"expected {__name__}.Person, got 3 (int)"),
]


@pytest.mark.parametrize(("value", "annotation"), FITS)
def test_it_fits(value, annotation):
    assert type_problem(value, annotation) is None


@pytest.mark.parametrize(("value", "annotation", "problem"), MISFITS)
def test_it_does_not_fit_and_the_problem_shows_what_is_wrong(value, annotation, problem):
    assert type_problem(value, annotation) == problem


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        pytest.param(1, T, id="type variable"),
        pytest.param(1, Runs, id="protocol without run-time checks"),
        pytest.param(1, "no such name", id="text"),
        pytest.param([1], list["NoSuchName"], id="forward reference"),  # noqa: F821
    ],
)
def test_an_annotation_that_cannot_be_judged_is_taken_as_satisfied(value, annotation):
    assert type_problem(value, annotation) is None


@pytest.mark.parametrize("value", [{"name": 3}, {}, {"other": 1}])
def test_of_a_typed_dict_only_being_a_dictionary_is_checked(value):
    assert type_problem(value, Person) is None


def test_a_secret_is_not_shown():
    assert type_problem("hunter2", int, secret=True) == "expected int, got a str"
    assert type_problem(["hunter2"], list[int], secret=True) == "expected list[int], got a list"


def test_a_value_gets_the_same_verdict_every_time():
    almost = [1] * 999 + ["x"]
    assert len({type_problem(almost, list[int]) for _ in range(20)}) == 1


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "int"),
        (Point, f"{__name__}.Point"),
        (list[int], "list[int]"),
        (typing.Optional[int], "Optional[int]"),  # noqa: UP045
        (pa.Table, "pyarrow.lib.Table"),
    ],
)
def test_a_type_is_named_as_a_person_would(annotation, name):
    assert type_name(annotation) == name


@pytest.mark.parametrize(
    ("value", "annotation", "handed_on"),
    [
        (np.int64(2), int, 2),
        (np.int64(2), float, 2),
        (np.float32(1.5), float, 1.5),
        (np.bool_(True), bool, True),
        (np.int64(2), int | None, 2),
        (np.int64(2), "anything", np.int64(2)),
        (np.int64(2), np.integer, np.int64(2)),
        (np.int64(2), np.int64 | int, np.int64(2)),
        (np.float64(1.5), float, np.float64(1.5)),
        (np.int64(2), str, np.int64(2)),
        (3, float, 3),
    ],
)
def test_a_numpy_scalar_is_handed_on_as_what_the_annotation_says(value, annotation, handed_on):
    plain = plain_scalar(value, Any if annotation == "anything" else annotation)
    assert (type(plain), plain) == (type(handed_on), handed_on)


def test_two_classes_of_one_name_are_told_apart():
    def made():
        class Frame: ...

        return Frame

    first, second = made(), made()
    assert "a different class of the same name" in type_problem(first(), second)
    assert type_problem(first(), first) is None
