"""Asset keys, materializations, expectations, and the kinds of metadata."""

import enum
import json
import math
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from orchestrator import AssetKey, AssetMaterialization, DefinitionError, Expectation, Failure, Metadata
from orchestrator.model.asset import is_special_metadata
from tests.definitions.short import refusal


class Level(enum.IntEnum):
    HIGH = 3


class Team(str, enum.Enum):  # noqa: UP042
    SALES = "sales"


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("orders", ("orders",)),
        ("raw/orders", ("raw", "orders")),
        ("raw.orders", ("raw", "orders")),
        ("path/to-asset_4", ("path", "to", "asset_4")),
        ("(Hello)", ("Hello",)),
        (["raw", "my orders"], ("raw", "my orders")),
        (("a/b", "c"), ("a/b", "c")),
        (AssetKey("raw/orders"), ("raw", "orders")),
    ],
)
def test_a_key_in_text_is_split_and_a_list_is_taken_as_it_is(key, parts):
    assert AssetKey(key).parts == parts
    assert AssetMaterialization(key).asset_key == AssetKey(key)


def test_a_key_reads_as_its_parts_with_slashes():
    assert str(AssetKey(["raw", "orders"])) == "raw/orders"


def test_keys_with_the_same_parts_are_the_same():
    assert len({AssetKey("raw/orders"), AssetKey("raw.orders"), AssetKey(["raw", "orders"])}) == 1


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("--", "The asset key '--' has no letters, digits or underscores in it."),
        ("", "The asset key '' has no letters, digits or underscores in it."),
        ([], "The asset key [] has no parts."),
        (3, "An asset key is a string or a list of non-empty strings, not 3."),
        (["a", ""], "An asset key is a string or a list of non-empty strings, not ['a', '']."),
        (["a", 1], "An asset key is a string or a list of non-empty strings, not ['a', 1]."),
    ],
)
def test_anything_else_is_no_key(key, problem):
    assert refusal(AssetKey, key).message == problem


PLAIN = [
    (3, 3),
    (1.5, 1.5),
    (True, True),
    (None, None),
    ("text", "text"),
    (np.int32(4), 4),
    (np.float64(1.5), 1.5),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.str_("text"), "text"),
    (np.array(7), 7),
    (Level.HIGH, 3),
    (Team.SALES, "sales"),
    ((1, 2), [1, 2]),
    ({"b", "a"}, ["a", "b"]),
    ({"a": {"b": (1,)}}, {"a": {"b": [1]}}),
    ({1: "x"}, {"1": "x"}),
    (2**70, 2**70),
    (pd.NaT, None),
    # What JSON cannot tell from text is marked with its kind.
    (float("nan"), {"kind": "float", "value": "nan"}),
    (float("-inf"), {"kind": "float", "value": "-inf"}),
    (np.float64("nan"), {"kind": "float", "value": "nan"}),
    ([math.inf], [{"kind": "float", "value": "inf"}]),
    (date(2024, 1, 2), {"kind": "instant", "value": "2024-01-02"}),
    (datetime(2024, 1, 2, tzinfo=UTC), {"kind": "instant", "value": "2024-01-02T00:00:00+00:00"}),
    (pd.Timestamp("2024-01-02"), {"kind": "instant", "value": "2024-01-02T00:00:00"}),
    (np.datetime64("2024-01-02"), {"kind": "instant", "value": "2024-01-02"}),
    (Path("/data/x"), {"kind": "path", "value": "/data/x"}),
    (Metadata.path(Path("x")), {"kind": "path", "value": "x"}),
    (Metadata.url("https://example.org"), {"kind": "url", "value": "https://example.org"}),
    (Metadata.markdown("# Title"), {"kind": "markdown", "value": "# Title"}),
    (
        Metadata.table([{"a": 1, "b": float("nan")}]),
        {"kind": "table", "value": [{"a": 1, "b": {"kind": "float", "value": "nan"}}]},
    ),
    (Metadata.table([]), {"kind": "table", "value": []}),
]


@pytest.mark.parametrize(
    ("value", "recorded"), PLAIN, ids=[f"{type(value).__name__} {number}" for number, (value, _) in enumerate(PLAIN)]
)
def test_metadata_becomes_plain_data(value, recorded):
    found = AssetMaterialization("a", metadata={"m": value}).metadata["m"]
    assert found == recorded
    assert type(found) is type(recorded)
    json.dumps(found, allow_nan=False)
    msgspec.json.encode(found)


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", Decimal("1.5"), np.array([1, 2]), pd.DataFrame(), {"deep": [object()]}, Metadata.table],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_recorded_is_an_error_that_names_the_asset_and_the_entry(value):
    error = refusal(AssetMaterialization, "raw/orders", metadata={"size": 1, "sample": value})
    assert error.message.startswith("The metadata entry 'sample' of asset raw/orders cannot be recorded: it holds a")
    assert "numbers, strings" in error.hint


def test_metadata_must_be_a_dictionary():
    assert refusal(AssetMaterialization, "a", metadata=[1]).message == (
        "The metadata of asset a must be a dictionary, not list."
    )


def test_a_table_is_a_list_of_rows():
    assert refusal(Metadata.table, ["a"]).message == "Metadata.table() takes a list of dictionaries, one a row."


@pytest.mark.parametrize(
    ("value", "special"),
    [({"kind": "url", "value": "x"}, True), ({"kind": "url"}, False), ({"kind": "?", "value": 1}, False), ("x", False)],
)
def test_marked_metadata_can_be_told_from_a_dictionary(value, special):
    assert is_special_metadata(value) is special


def test_a_materialization_keeps_what_is_said_of_it():
    said = AssetMaterialization("orders", "All of them.", {"rows": 3}, partition=2024, tags={"source": 1})
    assert said.description == "All of them."
    assert said.metadata == {"rows": 3}
    assert said.partition == "2024"
    assert said.tags == {"source": "1"}


def test_an_expectation_is_true_or_false():
    assert Expectation(1, "rows").success is True
    assert Expectation([], "rows", metadata={"n": np.int64(0)}).metadata == {"n": 0}


def test_metadata_of_expectations_and_failures_is_checked_too():
    assert "of expectation 'rows' cannot be recorded" in str(refusal(Expectation, True, "rows", None, {"x": object()}))
    assert "of Failure cannot be recorded" in str(refusal(Failure, "bad", {"x": object()}))


def test_errors_of_definitions_survive_pickling():
    error = refusal(AssetMaterialization, "a", metadata={"x": object()})
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, DefinitionError)
    assert (str(again), again.hint) == (str(error), error.hint)


def test_letters_of_any_alphabet_tell_asset_keys_apart():
    assert AssetKey("roh/größe").parts == ("roh", "größe")
    assert AssetKey("ö") != AssetKey("ü")


def test_a_thousand_tags_are_enough():
    AssetMaterialization("a", tags={str(n): "x" for n in range(1000)})
    error = refusal(AssetMaterialization, "a", tags={str(n): "x" for n in range(1001)})
    assert error.message == "Asset a has 1,001 tags; at most 1,000 are recorded."
