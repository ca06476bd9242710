"""What one `config` parameter accepts: every problem at once, each with its path, and no secret in any message."""

import enum
import typing
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pydantic
import pytest

from orchestrator import pipeline, resource, step
from orchestrator.definitions.config import ConfigSchema, resolve_environment
from orchestrator.planning.run_config import resource_schema, step_schema
from tests.definitions.short import one, refusal


@dataclass
class Connection:
    url: str
    port: int = 5432


@dataclass
class Settings:
    name: str
    connection: Connection
    tags: list[str] = field(default_factory=list)
    others: list[Connection] = field(default_factory=list)
    by_name: dict[str, Connection] = field(default_factory=dict)
    spare: Connection | None = None
    since: date | None = None
    level: Literal["low", "high"] = "low"


@dataclass
class Derived:
    name: str
    length: int = field(default=0, init=False)

    def __post_init__(self):
        self.length = len(self.name)


class Limits(TypedDict):
    most: int
    least: NotRequired[int]


class Nested(TypedDict, total=False):
    limits: Limits
    all_limits: list[Limits | None]


class Model(pydantic.BaseModel):
    size: int = pydantic.Field(3, gt=2)
    connection: Connection | None = None
    password: pydantic.SecretStr = pydantic.SecretStr("")


class Open(pydantic.BaseModel, extra="allow"):
    size: int = 3


class Color(enum.Enum):
    RED = "red"


@dataclass
class File:
    kind: Literal["file"]
    path: str = ""


@dataclass
class Table:
    kind: Literal["table"]
    table: str = ""


@dataclass
class Tree:
    value: int = 0
    children: "list[Tree]" = field(default_factory=list)


def problems(annotation, raw, **environment):
    _, found = ConfigSchema(annotation).check(raw, environment, ("config",))
    return [str(problem) for problem in found]


def value(annotation, raw, **environment):
    found, wrong = ConfigSchema(annotation).check(raw, environment)
    assert wrong == ()
    return found


# --- what is accepted ---


@pytest.mark.parametrize(
    ("annotation", "raw", "expected"),
    [
        pytest.param(Connection, {"url": "x"}, Connection("x"), id="dataclass"),
        pytest.param(Limits, {"most": 3}, {"most": 3}, id="TypedDict"),
        pytest.param(Nested, {"limits": {"most": 3}}, {"limits": {"most": 3}}, id="TypedDict inside"),
        pytest.param(list[Limits], [{"most": 3}], [{"most": 3}], id="list of TypedDicts"),
        pytest.param(typing.Optional[Limits], {"most": 3}, {"most": 3}, id="optional TypedDict"),  # noqa: UP045
        pytest.param(Annotated[Limits, "doc"], {"most": 3}, {"most": 3}, id="annotated TypedDict"),
        pytest.param(Model, {"size": 4}, Model(size=4), id="pydantic model"),
        pytest.param(Open, {"size": 4, "more": 1}, Open(size=4, more=1), id="a model that takes more"),
        pytest.param(dict, {"a": [1]}, {"a": [1]}, id="dictionary"),
        pytest.param(dict[str, int], {"a": "1"}, {"a": 1}, id="dictionary of numbers"),
        pytest.param(int, 3, 3, id="number"),
        pytest.param(Color, "red", Color.RED, id="enum"),
        pytest.param(Any, {"a": 1}, {"a": 1}, id="Any"),
        pytest.param(None, {"a": 1}, {"a": 1}, id="no annotation"),
        pytest.param(File | Table, {"kind": "table"}, Table("table"), id="alternatives"),
        pytest.param(Tree, {"children": [{"value": 2}]}, Tree(0, [Tree(2)]), id="a type inside itself"),
    ],
)
def test_anything_that_pydantic_can_validate_is_accepted(annotation, raw, expected):
    assert value(annotation, raw) == expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        pytest.param(None, {}, id="no annotation"),
        pytest.param(Model, Model(), id="everything has a default"),
        pytest.param(Nested, {}, id="nothing is required"),
        pytest.param(int | None, None, id="None will do"),
        pytest.param(Connection | None, None, id="None will do, an empty one would not"),
    ],
)
def test_nothing_configured_is_an_empty_mapping_or_none_if_either_will_do(annotation, expected):
    assert value(annotation, None) == expected


def test_nothing_configured_is_the_default_of_the_parameter():
    default = Connection("x")
    assert ConfigSchema(Connection, default).check(None, {}) == (default, ())


def test_the_default_of_the_parameter_is_not_mixed_with_what_is_configured():
    found, _ = ConfigSchema(Connection, Connection("x", port=1)).check({"url": "y"}, {})
    assert found == Connection("y", port=5432)


# --- what is not ---


def test_all_problems_are_found_at_once():
    raw = {
        "name": 3,
        "connection": {"ulr": "x", "port": "many"},
        "tags": "a",
        "others": [{"url": "x"}, {"prot": 3}],
        "by_name": {"k": {"url": 1, "z": 1}},
        "spare": {"q": 1},
        "since": "never",
        "level": "medium",
        "nmae": 1,
    }
    assert problems(Settings, raw) == [
        "config.connection.ulr: unknown. Did you mean url?",
        "config.others.1.prot: unknown. Did you mean port?",
        "config.by_name.k.z: unknown. There is: url, port.",
        "config.spare.q: unknown. There is: url, port.",
        "config.nmae: unknown. Did you mean name?",
        "config.name: Input should be a valid string, got 3",
        "config.connection.url: required, and missing",
        "config.connection.port: Input should be a valid integer, unable to parse string as an integer, got 'many'",
        "config.tags: Input should be a valid list, got 'a'",
        "config.others.1.url: required, and missing",
        "config.by_name.k.url: Input should be a valid string, got 1",
        "config.spare.url: required, and missing",
        "config.since: Input should be a valid date or datetime, input is too short, got 'never'",
        "config.level: Input should be 'low' or 'high', got 'medium'",
    ]


@pytest.mark.parametrize(
    ("annotation", "raw", "expected"),
    [
        pytest.param(int, None, ["config: required, and missing"], id="nothing, where a number is needed"),
        pytest.param(
            Settings,
            None,
            ["config.name: required, and missing", "config.connection: required, and missing"],
            id="nothing, where fields are required",
        ),
        pytest.param(
            dict[str, Derived],
            {"a": {"name": "x", "length": 5}},
            ["config.a.length: unknown. There is: name."],
            id="a field that is worked out",
        ),
        pytest.param(
            timedelta,
            "90m",
            ["config: not a duration: write seconds, 01:30:00 or PT1H30M (ISO 8601), got '90m'"],
            id="a duration in words of another kind",
        ),
        pytest.param(Limits, {}, ["config.most: required, and missing"], id="TypedDict"),
        pytest.param(
            Nested, {"limits": {"most": 1, "mots": 2}}, ["config.limits.mots: unknown. Did you mean most?"], id="deeper"
        ),
        pytest.param(
            Nested,
            {"all_limits": [{"most": 1, "x": 2}, None]},
            ["config.all_limits.0.x: unknown. There is: most, least."],
            id="in a list of optional ones",
        ),
        pytest.param(Model, {"size": 1}, ["config.size: Input should be greater than 2, got 1"], id="a constraint"),
        pytest.param(
            Model,
            {"connection": {"url": "x", "prt": 1}, "seize": 3},
            ["config.connection.prt: unknown. Did you mean port?", "config.seize: unknown. Did you mean size?"],
            id="model",
        ),
        pytest.param(Color, "blue", ["config: Input should be 'red', got 'blue'"], id="enum"),
        pytest.param(
            File | Table,
            {"kind": "table", "path": "x"},
            ["config.path: unknown. There is: kind, table."],
            id="a field of the other alternative",
        ),
        pytest.param(
            list[File | Table],
            [{"kind": "file"}, {"kind": "file", "tabel": 1}],
            ["config.1.tabel: unknown. There is: kind, path."],
            id="alternatives in a list",
        ),
        pytest.param(
            Annotated[File | Table, pydantic.Field(discriminator="kind")],
            {"kind": "file", "table": "x"},
            ["config.table: unknown. There is: kind, path."],
            id="alternatives with a tag",
        ),
        pytest.param(
            tuple[Connection, int],
            [{"url": "x", "y": 1}, 2],
            ["config.0.y: unknown. There is: url, port."],
            id="in a tuple",
        ),
        pytest.param(
            Tree,
            {"children": [{"children": [{"valeu": 1}]}]},
            ["config.children.0.children.0.valeu: unknown. Did you mean value?"],
            id="a type inside itself",
        ),
        pytest.param(
            Connection,
            ["x"],
            ["config: Input should be a dictionary or an instance of Connection, got ['x']"],
            id="list",
        ),
    ],
)
def test_problems_have_a_path_and_say_what_would_be_right(annotation, raw, expected):
    assert problems(annotation, raw) == expected


def test_long_values_are_cut():
    (problem,) = problems(int, "x" * 500)
    assert len(problem) < 200


def test_only_what_more_configuration_could_put_right_is_incomplete():
    _, found = ConfigSchema(Settings).check({"name": 3, "connection": {"url": {"env": "URL"}}}, {}, ("config",))
    assert {problem.path[-1]: problem.incomplete for problem in found} == {"name": False, "url": True}


# --- the environment ---


def test_a_scalar_anywhere_may_come_from_the_environment():
    raw = {"name": {"env": "NAME"}, "connection": {"url": {"env": "URL"}, "port": {"env": "PORT"}}}
    found = value(Settings, raw, NAME="n", URL="u", PORT="77")
    assert (found.name, found.connection) == ("n", Connection("u", 77))


def test_a_variable_that_is_not_set_is_named_once():
    assert problems(Settings, {"name": {"env": "NAME"}, "connection": {"url": "u", "port": {"env": "PORT"}}}) == [
        "config.name: the environment variable NAME is not set",
        "config.connection.port: the environment variable PORT is not set",
    ]


def test_inside_lists_too():
    assert resolve_environment([{"env": "A"}, [{"env": "B"}]], {"A": "1", "B": "2"}).value == ["1", ["2"]]


@pytest.mark.parametrize("raw", [{"env": 3}, {"env": "A", "other": 1}, {"ENV": "A"}])
def test_only_env_alone_with_a_name_means_the_environment(raw):
    assert resolve_environment(raw, {"A": "1"}).value == raw


class Checked(pydantic.BaseModel):
    text: str = ""
    number: int = 0

    @pydantic.field_validator("text")
    @classmethod
    def _text(cls, text):
        if text:
            raise ValueError(f"{text} will not do")
        return text

    @pydantic.model_validator(mode="after")
    def _all(self):
        if self.number == 7:
            raise ValueError(f"the number may not be {self.number}")
        return self


@pytest.mark.parametrize(
    ("annotation", "raw"),
    [
        pytest.param(int, {"env": "SECRET"}, id="wrong type"),
        pytest.param(Connection, {"url": "x", "port": {"env": "SECRET"}}, id="in a field"),
        pytest.param(Connection | int, {"port": {"env": "SECRET"}}, id="in an alternative"),
        pytest.param(
            Annotated[File | Table, pydantic.Field(discriminator="kind")], {"kind": {"env": "SECRET"}}, id="tag"
        ),
        pytest.param(list[int], {"a": {"env": "SECRET"}}, id="the container is wrong"),
        pytest.param(int, [{"env": "SECRET"}], id="the list is wrong"),
        pytest.param(str, {"deep": [{"er": {"env": "SECRET"}}]}, id="deep inside"),
        pytest.param(Literal["a"], {"env": "SECRET"}, id="literal"),
        pytest.param(Color, {"env": "SECRET"}, id="enum"),
        pytest.param(date, {"env": "SECRET"}, id="date"),
        pytest.param(Checked, {"text": {"env": "SECRET"}}, id="quoted by a validator of the user's own"),
    ],
)
def test_a_value_from_the_environment_is_in_no_message(annotation, raw):
    found = problems(annotation, raw, SECRET="hunter2")
    assert found
    assert "hunter2" not in "".join(found)
    assert any("comes from the environment and is not shown" in problem for problem in found)


def test_a_short_secret_is_hidden_too_without_making_the_message_unreadable():
    assert problems(Checked, {"number": {"env": "SECRET"}}, SECRET="7") == [
        "config: the number may not be *** (the value comes from the environment and is not shown)"
    ]


def test_values_beside_a_secret_are_shown():
    assert problems(Connection, {"url": {"env": "SECRET"}, "port": "many"}, SECRET="hunter2")[0].endswith("'many'")
    assert problems(Connection, {"url": 31, "port": {"env": "SECRET"}}, SECRET="1")[0].endswith("got 31")


# --- annotations that nothing can be checked against ---


@pytest.mark.parametrize(("decorate", "schema"), [(step, step_schema), (resource, resource_schema)])
def test_an_annotation_that_cannot_be_evaluated_is_refused_rather_than_left_unchecked(decorate, schema):
    @decorate
    def it(config: "NotImported"): ...  # noqa: F821

    error = refusal(schema(it).check, {"a": 1}, {})
    assert f"'it' ({__name__}, " in error.message
    assert error.message.endswith("the annotation of `config`, NotImported, cannot be evaluated.")
    assert "TYPE_CHECKING" in error.hint


def test_such_an_annotation_does_no_harm_where_the_step_does_not_run():
    @step
    def it(config: "NotImported"): ...  # noqa: F821

    @pipeline
    def wired():
        it()
        one()

    step_schema(it).preload()
    assert wired.execute_in_process(select="one").success


def test_an_annotation_that_nothing_can_be_checked_against_is_refused_naming_the_step():
    class Session: ...

    @dataclass
    class Odd:
        session: Session

    @step
    def it(config: Odd): ...

    @pipeline
    def wired():
        it()

    error = refusal(wired.execute_in_process)
    assert error.message.startswith(f"Step 'it' ({__name__}, ")
    assert "nothing can be checked against `config: " in error.message
    assert "Odd`: Unable to generate pydantic-core schema for " in error.message
    assert error.hint == "Annotate it with a dataclass, a TypedDict or a pydantic model."
