"""The configuration template: every field there is, and usable once the required ones are filled in."""

import enum
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NotRequired, TypedDict

import pydantic
import pytest
import yaml

from orchestrator import Mode, pipeline, resource, step
from orchestrator.planning.template import config_template
from tests.definitions.short import one


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Connection:
    url: str
    port: int = 5432


@dataclass
class Settings:
    name: str
    connection: Connection
    retries: int = 3
    tags: list[str] = field(default_factory=list)
    by_name: dict[str, Connection] = field(default_factory=dict)
    color: Color = Color.RED
    level: Literal["low", "high"] = "low"
    since: date = date(2024, 1, 1)
    spare: Connection | None = None


class Described(pydantic.BaseModel):
    size: int = pydantic.Field(description="how many")


class Limits(TypedDict):
    most: int
    least: NotRequired[int]


@step
def settled(config: Settings): ...


@step
def described(config: Described): ...


@step
def limited(config: Limits): ...


@step
def numbered(config: int): ...


@step
def anything(config): ...


@step
def with_default(config: Connection = Connection("db://default", 1)): ...  # noqa: B008


@step
def loose(text: str, times: int = 2): ...


@resource
def warehouse(config: Connection): ...


@pipeline
def inner(n, on=1):
    loose(n, on)


@pipeline(modes=[Mode("m", resources={"warehouse": warehouse, "constant": 1})])
def everything(q, r=5):
    settled()
    described()
    limited()
    numbered()
    anything()
    with_default()
    loose()
    inner(q)


TEMPLATE = """\
# Configuration of pipeline everything, mode m. Any value may be {env: NAME}.
inputs:
  q: ...   # required: no step provides it
  # r: 5
  # "inner.on": 1
steps:
  settled:
    config:
      name: ...   # string, required
      connection:
        url: ...   # string, required
        # port: 5432   # integer
      # retries: 3   # integer
      # tags: []   # list of string
      # by_name: {}   # object
      # color: "red"   # one of red, blue
      # level: "low"   # one of low, high
      # since: "2024-01-01"   # date
      # spare: null   # {url, port} or null
  described:
    config:
      size: ...   # integer, required. how many
  limited:
    config:
      most: ...   # integer, required
      # least: ...   # integer
  numbered:
    config: ...   # integer, required
  # anything:
    # config: {}   # anything
  # with_default:
    # config:
      # url: "db://default"   # string
      # port: 1   # integer
  loose:
    inputs:
      text: ...   # required: no step provides it
      # times: 2
resources:
  # io_manager:
    # config:
      # base_dir: null   # string or null
  warehouse:
    config:
      url: ...   # string, required
      # port: 5432   # integer
# execution:
  # retries: enabled   # or disabled: no step is tried again
"""


def test_the_template_has_every_field_with_its_type_and_default():
    assert config_template(everything, everything.mode("m")) == TEMPLATE


def test_what_is_not_commented_out_is_what_has_to_be_filled_in():
    assert yaml.safe_load(TEMPLATE) == {
        "inputs": {"q": "..."},
        "steps": {
            "settled": {"config": {"name": "...", "connection": {"url": "..."}}},
            "described": {"config": {"size": "..."}},
            "limited": {"config": {"most": "..."}},
            "numbered": {"config": "..."},
            "loose": {"inputs": {"text": "..."}},
        },
        "resources": {"warehouse": {"config": {"url": "..."}}},
    }


@pytest.mark.parametrize("uncommented", [False, True], ids=["as it is", "with the comments taken away"])
def test_filled_in_it_is_a_valid_configuration(uncommented):
    filled = TEMPLATE.replace("size: ...", "size: 1").replace("most: ...", "most: 1").replace("least: ...", "least: 1")
    filled = filled.replace("config: ...", "config: 1").replace("...", "text")
    if uncommented:
        filled = re.sub("^( *)# ", r"\1", filled.partition("\n")[2], flags=re.MULTILINE)
    config = yaml.safe_load(filled)
    assert everything.execute_in_process(config=config).success
    assert ("execution" in config) is uncommented


def test_without_anything_required_everything_is_commented_out():
    @pipeline
    def plain():
        one()

    assert yaml.safe_load(config_template(plain, plain.mode(None))) is None


def test_a_part_that_is_required_though_all_in_it_has_a_default_is_to_be_filled_in():
    @dataclass
    class Inner:
        x: float = 1.5

    @dataclass
    class Outer:
        inner: Inner

    @step
    def nested(config: Outer): ...

    @pipeline
    def plain():
        nested()

    assert "      inner: ...   # {x}, required\n" in config_template(plain, plain.mode(None))


def test_names_that_yaml_takes_for_something_else_are_quoted():
    @pipeline
    def awkward(on, no=1):
        loose(on, no)

    assert yaml.safe_load(config_template(awkward, awkward.mode(None))) == {"inputs": {"on": "..."}}


def test_a_type_inside_itself_ends():
    @dataclass
    class Node:
        value: int
        next: "Node | None" = None

    Node.__module__ = __name__
    globals()["Node"] = Node

    @step
    def walks(config: Node): ...

    @pipeline
    def plain():
        walks()

    assert yaml.safe_load(config_template(plain, plain.mode(None))) == {
        "steps": {"walks": {"config": {"value": "..."}}}
    }


def test_a_secret_has_no_default_in_it_and_is_read_from_the_environment(monkeypatch):
    @dataclass
    class Login:
        token: pydantic.SecretStr
        password: pydantic.SecretStr = pydantic.SecretStr("hunter2")  # noqa: RUF009
        spare: pydantic.SecretStr | None = None
        other: pydantic.SecretBytes | None = pydantic.SecretBytes(b"hunter2")  # noqa: RUF009

    @step
    def enters(config: Login, by: int = 1) -> str:
        return config.token.get_secret_value()

    @step
    def whole(config: pydantic.SecretStr): ...

    @pipeline
    def plain():
        enters()
        whole()

    text = config_template(plain, plain.mode(None))
    assert "hunter2" not in text
    assert "*" not in text
    assert "      token: {env: TOKEN}   # password, required\n" in text
    assert "      # password: {env: PASSWORD}   # password\n" in text
    assert "      # spare: null   # password or null\n" in text
    assert "      # other: {env: OTHER}   # " in text
    assert "    config: {env: NAME}   # password\n" in text
    monkeypatch.setenv("TOKEN", "t")
    monkeypatch.setenv("NAME", "n")
    assert plain.execute_in_process(config=yaml.safe_load(text)).output("enters") == "t"
