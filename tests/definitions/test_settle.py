"""What a field gets of a value that was typed: where it is text, the very text; elsewhere what its type makes of it."""

import enum
import math
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator, Field, Json, SecretBytes, SecretStr, TypeAdapter, ValidationError

from orchestrator.cli.run_config import read_config
from orchestrator.definitions.config import ConfigSchema
from orchestrator.yaml_text import NotYaml, read_yaml


class Answer(enum.Enum):
    NO = "no"
    VERSION = "1.10"
    ONE = 1


class Level(enum.StrEnum):
    OFF = "off"
    NULL = "null"


class Number(enum.IntEnum):
    ONE = 1


def typed(text):
    """The value as `--set` reads it."""
    return read_config([], [f"k={text}"])["k"]


def converted(annotation, raw):
    """What the field gets of a typed value, by way of what would be stored; None when it is refused."""
    schema = ConfigSchema(annotation)
    value, problems = schema.convert(schema.settle(raw, {}), {}, ())
    return "refused" if problems else value


# Types whose own parser knows text, and so decides alone.
OF_TEXT = [
    *(str, time, date, datetime, timedelta, UUID, IPv4Address, bytes, Path, SecretStr, SecretBytes, re.Pattern),
    *(Literal["1.10", "no", "01234"], Level, Annotated[str, Field(pattern="^[0-9]+$")]),
    Annotated[str, BeforeValidator(str.strip)],
]
OF_NUMBERS = [int, float, Decimal, Fraction, complex, Annotated[int, Field(ge=10)]]
LIKELY = st.sampled_from(
    [
        *("01234", "1.10", "no", "yes", "on", "off", "true", "null", "~", "12:30", "1:30", "2020-12-30 00:00:00"),
        *("1e3", "12345678901234567.89", "9" * 30, "5", "-1", "+7", "1_000", "010", ".5", "P1DT2H", "00:00", "2020"),
        *("2023-02-30", "127.0.0.1"),
    ]
)
# What begins with a quote, a bracket and the like is YAML of its own.
TEXT = LIKELY | st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda t: t[0] not in "'\"|>![{")


def parsed_by(annotation, text):
    try:
        return TypeAdapter(annotation).validate_python(text)
    except ValidationError:
        return "refused"


@settings(max_examples=400, deadline=None)
@given(annotation=st.sampled_from(OF_TEXT + OF_NUMBERS), text=TEXT)
@example(time, "12:30")
@example(str, "a: b")
@example(str, "# no comment")
@example(Decimal, "12345678901234567.89")
@example(int, "12345678901234567.89")
def test_a_field_gets_what_its_own_type_makes_of_the_text(annotation, text):
    expected, found = parsed_by(annotation, text), converted(annotation, typed(text))
    is_nan = isinstance(found, (float, complex)) and found != found
    assert found == expected or (is_nan and expected != expected)
    assert type(found) is type(expected)


@settings(max_examples=200, deadline=None)
@given(annotation=st.sampled_from(OF_TEXT), text=TEXT)
def test_so_it_does_in_a_file(annotation, text):
    try:
        data = read_yaml(f"k: {text}").data
    except NotYaml:
        return
    if isinstance(data, dict) and data.keys() == {"k"} and getattr(data["k"], "text", data["k"]) == text:
        expected = parsed_by(annotation, text)
        found = converted(annotation, data["k"])
        assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (int, "0x10", 16),
        (int, "0o14", 12),
        (float, ".inf", math.inf),
        (float, "-.inf", -math.inf),
        (Decimal, "0x10", Decimal(16)),
        (int, "true", "refused"),
        (float, "true", "refused"),
        (Number, "1", Number.ONE),
        (Number, "true", "refused"),
        (int | str, "5", 5),
        (str | int, "5", 5),
        (int | str, "01234", "01234"),
        (float | str, "1.10", "1.10"),
        (float | str, "1.5", 1.5),
        (int | Literal["all"], "5", 5),
        (int | Literal["all"], "all", "all"),
        (bool | str, "true", True),
        (bool | str, "no", "no"),
        (str | None, "null", None),
        (str | None, "~", None),
        (str | None, "", ""),
        (str | None, "01", "01"),
        (int | None, "", None),
        (int | None, "null", None),
        (date | None, "~", None),
        (str, "null", "null"),
        (str, "~", "~"),
        (str, "", ""),
        (Path, "~", Path("~")),
        (Answer, "no", Answer.NO),
        (Answer, "1.10", Answer.VERSION),
        (Answer, "1", Answer.ONE),
        (Level, "null", Level.NULL),
        (Literal[1, "1"], "1", "1"),
        (Literal[1, 2], "1", 1),
        (list[int], "[010, 0x10]", [10, 16]),
        (list[str], "[010, 1.10, no, null]", ["010", "1.10", "no", "null"]),
        (tuple[int, str], "[1, 1]", (1, "1")),
        (tuple[str, ...], "[1, 02]", ("1", "02")),
        (set[str], "[1, 02]", {"1", "02"}),
        (dict[str, str], "{1: 1, a: no, b: 2.0}", {"1": "1", "a": "no", "b": "2.0"}),
        (dict[str, int | None], "{a: 01, b: ~}", {"a": 1, "b": None}),
        (dict[int, str], "{01: 02}", {1: "02"}),
        (list[list[str]], "[[1], [02]]", [["1"], ["02"]]),
        (str, '{"a": [1]}', '{"a": [1]}'),
        (Json[dict[str, int]], '{"a": 1}', {"a": 1}),
        (str, "'01'", "01"),
        (int | str, '"5"', "5"),
        (Any, "01234", 1234),
        (Any, "1e3", 1000.0),
        (Any, "no", "no"),
        (Any, "[1, no, ~, {a: 1.0}]", [1, "no", None, {"a": 1.0}]),
        (Annotated[int, BeforeValidator(lambda n: n * 2)], "5", 10),
    ],
)  # fmt: skip
def test_each_type_has_its_reading(annotation, text, expected):
    found = converted(annotation, typed(text))
    assert (found, type(found)) == (expected, type(expected))


@dataclass
class Cat:
    kind: Literal["cat"]
    age: int


@dataclass
class Dog:
    kind: Literal["dog"]
    age: str


class Tree(BaseModel):
    label: str
    size: int = Field(default=0, alias="Size")
    children: "list[Tree]" = []


@dataclass
class Deployment:
    env: str = "dev"
    labels: dict[str, str] | None = None


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (Cat | Dog, "{kind: dog, age: 5}", Dog("dog", "5")),
        (Cat | Dog, "{kind: cat, age: 5}", Cat("cat", 5)),
        (Annotated[Cat | Dog, Field(discriminator="kind")], "{kind: dog, age: 05}", Dog("dog", "05")),
        (Tree, "{label: 01, Size: 01, children: [{label: no}]}", Tree(label="01", Size=1, children=[Tree(label="no")])),
        (Deployment, "{env: prod}", Deployment("prod")),
        (Deployment, "{env: 1.10, labels: {env: 01}}", Deployment("1.10", {"env": "01"})),
    ],
)
def test_fields_of_types_inside_types_have_theirs(annotation, text, expected):
    assert converted(annotation, typed(text)) == expected


def test_a_reference_to_the_environment_is_one_where_no_mapping_is_expected():
    def read(text):
        schema = ConfigSchema(Deployment)
        return schema.check(schema.settle(typed(text), {}), {"NAME": "staging", "prod": "wrong"})

    assert read("{env: {env: NAME}}") == (Deployment("staging"), ())
    assert read("{env: prod}") == (Deployment("prod"), ())
    assert ConfigSchema(str).check(ConfigSchema(str).settle(typed("{env: NO}"), {}), {"NO": "x"}) == ("x", ())


def test_a_message_shows_what_was_typed():
    schema, written = ConfigSchema(dict[str, bool]), {("a",): "01234"}
    _, (problem,) = schema.check(schema.settle(typed("{a: 01234}"), {}), {}, (), written)
    assert str(problem) == "a: Input should be a valid boolean, unable to interpret input, got 01234"


@pytest.mark.parametrize("error", [TypeError("it is hunter2!"), KeyError("hunter2"), RuntimeError("x hunter2 x")])
def test_a_validator_that_raises_anything_is_a_problem_without_the_secret(error):
    def fails(value):
        raise error

    _, (problem,) = ConfigSchema(Annotated[str, BeforeValidator(fails)]).check({"env": "P"}, {"P": "hunter2"}, ("c",))
    assert str(problem).startswith(f"c: a validator failed with {type(error).__name__}: ")
    assert "***" in str(problem)
    assert "hunter2" not in str(problem)
