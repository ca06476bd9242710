"""Tables as parquet files on a local disk: what comes back, where it lies, what the catalog is told."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator import (
    DynamicOut,
    DynamicOutput,
    InputContext,
    Mode,
    Out,
    Output,
    OutputContext,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    step,
)
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.parquet import ParquetIOManager, without_credentials
from tests.definitions.short import run, why

TABLE = pa.table({"name": ["Ada", "Grace"], "age": [51, 48]})
ROWS = TABLE.to_pylist()


def rows(table):
    """The rows of a table of any of the libraries."""
    if isinstance(table, pd.DataFrame):
        return table.reset_index(drop=True).to_dict("records")
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    return table.to_dicts() if isinstance(table, pl.DataFrame) else table.to_pylist()


def below(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def wired(tmp_path, wires, manager=None):
    """A run of a pipeline that keeps its tables as parquet below `tmp_path`."""

    @pipeline(
        modes=[
            Mode("m", resources={"io_manager": manager or parquet_io_manager(tmp_path), "memory": memory_io_manager})
        ]
    )
    def tables():
        wires()

    return tables.execute_in_process()


def assets(result):
    return [event for event in result.events if type(event).__name__ == "AssetMaterialized"]


FORMS = {
    "pyarrow": (lambda: TABLE, pa.Table),
    "record_batch": (lambda: TABLE.to_batches()[0], pa.RecordBatch),
    "pandas": (lambda: TABLE.to_pandas(), pd.DataFrame),
    "polars": (lambda: pl.DataFrame(ROWS), pl.DataFrame),
    "lazy_polars": (lambda: pl.LazyFrame(ROWS), pl.LazyFrame),
}


# --- what comes back ---


@pytest.mark.parametrize("form", FORMS)
def test_without_an_annotation_a_table_comes_back_as_it_was_stored(tmp_path, form):
    make, kind = FORMS[form]
    manager = ParquetIOManager(tmp_path)
    manager.handle_output(OutputContext(), make())
    back = manager.load_input(InputContext(OutputContext()))
    assert isinstance(back, kind)
    assert rows(back) == ROWS


@pytest.mark.parametrize("stored", FORMS)
@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (pa.Table, pa.Table),
        (pd.DataFrame, pd.DataFrame),
        (pl.DataFrame, pl.DataFrame),
        (pl.LazyFrame, pl.LazyFrame),
        (pd.DataFrame | None, pd.DataFrame),
        (None | pl.LazyFrame, pl.LazyFrame),
    ],
    ids=str,
)
def test_an_annotation_says_in_which_form_a_table_is_loaded(tmp_path, stored, wanted, kind):
    manager = ParquetIOManager(tmp_path)
    manager.handle_output(OutputContext(), FORMS[stored][0]())
    back = manager.load_input(InputContext(OutputContext(), type=wanted))
    assert isinstance(back, kind)
    assert rows(back) == ROWS


def test_steps_take_and_give_tables_in_the_form_they_like(tmp_path):
    @step
    def make_people() -> pa.Table:
        return TABLE

    @step
    def with_pandas(people: pd.DataFrame) -> pd.DataFrame:
        return people[people.age > 50]

    @step
    def with_polars(people: pl.DataFrame) -> pl.DataFrame:
        return people.select("name")

    result = wired(tmp_path, lambda: with_polars(with_pandas(make_people())))
    assert rows(result.output("with_polars")) == [{"name": "Ada"}]


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(["x", "y"], id="labels"),
        pytest.param(pd.Index([1, 2], name="id"), id="with a name"),
        pytest.param(pd.date_range("2024-01-01", periods=2, name="day"), id="dates"),
        pytest.param(pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["n", "c"]), id="two levels"),
    ],
)
def test_the_index_of_a_pandas_frame_survives(tmp_path, index):
    frame = pd.DataFrame({"age": [51, 48]}, index=index)
    manager = ParquetIOManager(tmp_path)
    manager.handle_output(OutputContext(), frame)
    pd.testing.assert_frame_equal(manager.load_input(InputContext(OutputContext())), frame, check_freq=False)


def test_types_of_columns_survive(tmp_path):
    table = pa.table(
        {
            "when": pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
            "day": [date(2024, 1, 1)],
            "price": pa.array([Decimal("1.50")], pa.decimal128(5, 2)),
            "tags": [["a", "b"]],
            "point": [{"x": 1}],
            "category": pa.array(["a"]).dictionary_encode(),
            "nothing": pa.nulls(1),
            "raw": [b"\x00"],
        }
    )
    manager = ParquetIOManager(tmp_path)
    manager.handle_output(OutputContext(), table)
    assert manager.load_input(InputContext(OutputContext())).equals(table)


@pytest.mark.parametrize("table", [pa.table({}), pa.table({"a": pa.array([], pa.int64())})], ids=["columns", "rows"])
def test_a_table_without_columns_or_rows_is_a_table(tmp_path, table):
    manager = ParquetIOManager(tmp_path)
    manager.handle_output(OutputContext(), table)
    assert manager.load_input(InputContext(OutputContext())).equals(table)


def test_a_file_that_something_else_wrote_is_a_pyarrow_table(tmp_path):
    pq.write_table(TABLE, tmp_path / "people.parquet")
    context = OutputContext(run_id=None, metadata={"path": "people.parquet"})
    assert ParquetIOManager(tmp_path).load_input(InputContext(context)).equals(TABLE)


# --- where it lies ---


def test_a_table_lies_at_run_step_and_output(tmp_path):
    @step(outputs={"good": Out(pa.Table), "bad": Out(pa.Table)})
    def both():
        yield Output(TABLE, "good")
        yield Output(TABLE, "bad")

    result = run(both, resources={"io_manager": parquet_io_manager(tmp_path)})
    assert below(tmp_path) == [f"{result.run_id}/both/bad.parquet", f"{result.run_id}/both/good.parquet"]


def placed(**metadata):
    @step(outputs=Out(pa.Table, metadata=metadata))
    def gives():
        return TABLE

    return gives


def test_a_path_of_ones_own_is_replaced_by_every_run(tmp_path):
    gives = placed(path="daily/people.parquet")
    for _ in range(2):
        run(gives, resources={"io_manager": parquet_io_manager(tmp_path)})
    assert below(tmp_path) == ["daily/people.parquet"]


def test_a_path_of_ones_own_can_be_read_without_the_run_that_wrote_it(tmp_path):
    @step(io_manager="memory")
    def counts(people: pa.Table) -> int:
        return people.num_rows

    gives = placed(path="people.parquet")

    @pipeline(modes=[Mode("m", resources={"io_manager": parquet_io_manager(tmp_path), "memory": memory_io_manager})])
    def tables():
        counts(gives())

    assert tables.execute_in_process(select="gives").success
    assert tables.execute_in_process(select="counts").output("counts") == 2


def test_each_key_of_a_mapped_step_and_of_a_dynamic_output_has_a_file_of_its_own(tmp_path):
    @step(outputs=DynamicOut(pa.Table, metadata={"path": "parts.parquet"}))
    def parts():
        for key in ("a", "b.c"):
            yield DynamicOutput(pa.table({"key": [key]}), key=key)

    @step(outputs=Out(pa.Table, metadata={"path": "clean/part.parquet"}))
    def clean(part: pa.Table):
        return part

    @step(outputs=DynamicOut(pa.Table, metadata={"path": "deep"}))
    def deeper(part: pa.Table):
        yield DynamicOutput(part, key="0")

    result = wired(tmp_path, lambda: parts().map(lambda part: deeper(clean(part))))
    assert below(tmp_path) == [
        *("clean/part/a.parquet", "clean/part/b.c.parquet"),
        *("deep/a/0", "deep/b.c/0"),
        *("parts/a.parquet", "parts/b.c.parquet"),
    ]
    assert rows(result.output("clean[b.c]")) == [{"key": "b.c"}]
    assert [event.partition for event in assets(result)] == ["a", "b.c", "a", "b.c", "a/0", "b.c/0"]


@pytest.mark.parametrize(
    "path",
    ["../people.parquet", "/tmp/people.parquet", "a/../../people.parquet", "..", "", ".", "./"],
)
def test_a_path_that_leads_out_of_the_directory_is_refused(tmp_path, path):
    inside = tmp_path / "inside"
    inside.mkdir()
    assert why(run(placed(path=path), resources={"io_manager": parquet_io_manager(inside)}), "gives").startswith(
        f"Failure: The path {path!r} of output 'result' does not name a file below the base_uri of parquet_io_manager."
    )
    assert below(tmp_path) == []


def test_a_table_with_a_version_lies_by_that(tmp_path):
    manager = ParquetIOManager(tmp_path)
    context = OutputContext(run_id="r", step="load", version="v1")
    assert not manager.has_output(context)
    manager.handle_output(context, TABLE)
    assert below(tmp_path) == ["versions/load/result/v1.parquet"]
    assert manager.has_output(context)


def test_one_file_for_all_versions_has_none(tmp_path):
    manager = ParquetIOManager(tmp_path)
    context = OutputContext(step="load", version="v1", metadata={"path": "people.parquet"})
    manager.handle_output(context, TABLE)
    assert not manager.has_output(context)


@pytest.mark.parametrize("base", ["file://{}", "{}", "{}/"], ids=["a file URI", "a path", "with a slash behind"])
def test_a_directory_may_be_written_as_a_path_or_a_uri(tmp_path, base):
    manager = ParquetIOManager(base.format(tmp_path))
    manager.handle_output(OutputContext(), TABLE)
    assert below(tmp_path) == ["test/test/result.parquet"]
    assert manager.load_input(InputContext(OutputContext())).equals(TABLE)


def test_a_relative_directory_is_shown_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ParquetIOManager("tables").handle_output(OutputContext(), TABLE)
    assert said.metadata["path"]["value"] == str(tmp_path / "tables/test/test/result.parquet")


def test_a_directory_called_like_a_partition_adds_no_column(tmp_path):
    manager = ParquetIOManager(tmp_path / "year=2024")
    manager.handle_output(OutputContext(), TABLE)
    assert manager.load_input(InputContext(OutputContext())).column_names == ["name", "age"]


def test_a_table_that_cannot_be_written_leaves_no_file(tmp_path):
    @step
    def mixed() -> pd.DataFrame:
        return pd.DataFrame({"a": [1, "x"]})

    result = run(mixed, resources={"io_manager": parquet_io_manager(tmp_path)})
    assert "Conversion failed for column a" in why(result, "mixed")
    assert below(tmp_path) == []


# --- what the catalog is told ---


def test_each_table_is_recorded_as_an_asset_with_its_size_its_columns_and_its_first_rows(tmp_path):
    gives = placed()
    result = run(gives, resources={"io_manager": parquet_io_manager(tmp_path)})
    (event,) = assets(result)
    path = tmp_path / result.run_id / "gives" / "result.parquet"
    assert event.asset == ("gives",)
    assert event.metadata == {
        "rows": 2,
        "path": {"kind": "path", "value": str(path)},
        "bytes": path.stat().st_size,
        "columns": {
            "kind": "table",
            "value": [{"name": "name", "type": "string"}, {"name": "age", "type": "int64"}],
        },
        "preview": {"kind": "table", "value": ROWS},
    }


def test_the_asset_is_named_by_the_output_or_after_its_step(tmp_path):
    @step(outputs={"result": Out(), "bad": Out(), "named": Out(metadata={"asset": "raw/people"})})
    def three():
        for name in ("result", "bad", "named"):
            yield Output(TABLE, name)

    @pipeline
    def inner():
        three()

    assert [event.asset for event in assets(wired(tmp_path, inner))] == [
        ("inner", "three"),
        ("inner", "three", "bad"),
        ("raw", "people"),
    ]


def test_a_preview_is_short_and_plain(tmp_path):
    wide = pa.table({f"c{n}": [n] * 100 for n in range(50)})
    odd = pa.table(
        {
            "day": [date(2024, 1, 1)],
            "price": [Decimal("1.5")],
            "long": ["x" * 1000],
            "nan": [float("nan")],
            "list": [[1]],
            "none": pa.nulls(1),
        }
    )
    manager = ParquetIOManager(tmp_path)
    preview = manager.handle_output(OutputContext(), wide).metadata["preview"]["value"]
    assert (len(preview), len(preview[0])) == (5, 12)
    assert manager.handle_output(OutputContext(), odd).metadata["preview"]["value"] == [
        {
            "day": "2024-01-01",
            "price": "1.5",
            "long": "x" * 77 + "...",
            "nan": {"kind": "float", "value": "nan"},
            "list": "[1]",
            "none": None,
        }
    ]


# --- what is refused ---


NO_RESULT = "If the step returns nothing, annotate it `-> None`. Otherwise return a table"


@pytest.mark.parametrize(
    ("value", "shown", "hint"),
    [
        (3, "an int", "Return a table"),
        ({"a": [1]}, "a dict", "Return a table"),
        ([], "a list", "Return a table"),
        (None, "None", NO_RESULT),
        (pd.Series([1]), "a pandas.Series", "Return its .to_frame()"),
        (pl.Series([1]), "a polars.series.series.Series", "Return its .to_frame()"),
        (TABLE.to_reader(), "a pyarrow.lib.RecordBatchReader", "It can be read once only: return its .read_all()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table_is_refused(tmp_path, value, shown, hint):
    @step
    def gives():
        return value

    message = why(run(gives, resources={"io_manager": parquet_io_manager(tmp_path)}), "gives")
    assert message.startswith(
        "Failure: parquet_io_manager stores tables (pyarrow, pandas or polars); output 'result' of step 'gives' is"
        f" {shown}. "
    )
    assert f" {hint}, or give that output another io_manager." in message


def test_a_table_that_is_gone_says_where_it_should_be(tmp_path):
    with pytest.raises(Failure) as caught:
        ParquetIOManager(tmp_path).load_input(InputContext(OutputContext(run_id="r", step="load")))
    assert str(caught.value) == (
        f"There is no stored table for output 'result' of step 'load': {tmp_path}/r/load/result.parquet does not exist."
        " Run that step again."
    )


def test_a_table_of_no_known_run_says_how_to_name_one(tmp_path):
    with pytest.raises(Failure, match=r"no run is known to have produced load\.result; name one with --rerun RUN"):
        ParquetIOManager(tmp_path).load_input(InputContext(OutputContext(run_id=None, step="load")))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/prefix?access_key=k&secret_key=s", "s3://bucket/prefix"),
        ("s3://key:secret@bucket/prefix?region=x", "s3://bucket/prefix"),
        ("gs://bucket", "gs://bucket"),
        ("/data/what?", "/data/what?"),
        ("tables", "tables"),
    ],
)
def test_a_uri_is_shown_without_what_may_be_secret(uri, shown):
    assert without_credentials(uri) == shown
    assert (parquet_io_manager(uri).description or "").endswith(f"below {shown}.")
