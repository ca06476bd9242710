"""What goes in comes out: every kind of table, through every IO manager, is equal or refused where it is stored."""

import os
import subprocess
import sys
import textwrap

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator import (
    InputContext,
    Mode,
    OutputContext,
    duckdb_io_manager,
    filesystem_io_manager,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    step,
)
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.duckdb import DuckDBIOManager
from orchestrator.io_managers.filesystem import FilesystemIOManager
from orchestrator.io_managers.memory import MemoryIOManager, forget_run
from orchestrator.io_managers.parquet import ParquetIOManager
from tests.definitions.short import why
from tests.io_managers.tables import TABLES, assert_same

# What Arrow has no form for, or one that comes back as something else: refused by both managers for tables. The words
# name the column, or what else it is about.
NO_ARROW = {
    "pandas: sparse": "column 'c'",
    "pandas: complex": "column 'c'",
    "pandas: timestamps as objects": "column 'c'",
    "pandas: mixed": "column 'c'",
    "pandas: integers and floats": "column 'c'",
    "pandas: booleans and integers": "column 'c'",
    "pandas: tuples": "column 'c'",
    "pandas: sets": "column 'c'",
    "pandas: dictionaries with other keys": "column 'c'",
    "pandas: members of an enum": "column 'c'",
    "pandas: huge integers": "column 'c'",
    "pandas: any object": "column 'c'",
    "pandas: mixed index": "its index",
    "pandas: mixed columns": "its column names [1, 'a'] would come back as ['1', 'a']",
    "pandas: columns of categories": "its labels",
    "pandas: tuples as columns": "its column names [('a', 1)]",
    "pandas: the same column twice": "more than one column called 'a'",
    "pandas: attrs that JSON lacks": "its attrs",
    "pandas: a subclass": "it is a Table",
    "polars: large integers": "column 'c'",
    "polars: Python objects": "column 'c'",
    "pyarrow: never null, with nulls": "column 'c'",
}
NO_PARQUET = NO_ARROW | {
    "polars: structs of nothing": "column 'c'",
    "pyarrow: structs of nothing": "column 'c'",
    "pyarrow: calendar intervals": "column 'c'",
    "pyarrow: calendar intervals, ns": "column 'c'",
    "pyarrow: runs": "column 'c'",
    "pyarrow: unions": "column 'c'",
}
NO_DUCKDB = NO_ARROW | {
    "pandas: durations, nanoseconds": "column 'c'",
    "pandas: durations, long": "column 'c'",
    "pandas: columns apart by case": "'A' and 'a'",
    "pandas: an empty name": "called ''",
    "pandas: nothing": "without columns",
    "polars: durations, nanoseconds": "column 'c'",
    "polars: columns apart by case": "'A' and 'a'",
    "polars: an empty name": "called ''",
    "polars: nothing": "without columns",
    "pyarrow: durations, ns": "column 'c'",
    "pyarrow: durations that are too long": "column 'c'",
    "pyarrow: decimals, 256 bits": "column 'c'",
    "pyarrow: calendar intervals, ns": "column 'c'",
    "pyarrow: columns apart by case": "'A' and 'a'",
    "pyarrow: the same column twice": "'a' and 'a'",
    "pyarrow: an empty name": "called ''",
    "pyarrow: nothing": "without columns",
}
MANAGERS = {
    "memory": (lambda directory: MemoryIOManager(), {}),
    "files": (FilesystemIOManager, {"polars: Python objects": "cannot be pickled"}),
    "parquet": (ParquetIOManager, NO_PARQUET),
    "duckdb": (lambda directory: DuckDBIOManager(directory / "tables.duckdb"), NO_DUCKDB),
}


@pytest.fixture(autouse=True)
def forget():
    yield
    forget_run("test")


def round_trip(manager, table, wanted=None):
    manager.handle_output(OutputContext(step="s"), table)
    return manager.load_input(InputContext(OutputContext(step="s"), type=wanted))


def check(manager, name, refused):
    """Fails unless the table comes back equal, or is refused in the words that `refused` has for it."""
    if name in refused:
        with pytest.raises(Failure) as caught:
            manager.handle_output(OutputContext(step="s"), TABLES[name]())
        assert refused[name] in str(caught.value)
    else:
        assert_same(TABLES[name](), round_trip(manager, TABLES[name]()))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", MANAGERS)
@pytest.mark.sample(210)
def test_a_table_comes_back_as_it_was_or_is_refused(tmp_path, kind, name):
    make, refused = MANAGERS[kind]
    check(make(tmp_path), name, refused)


# --- nothing of it depends on the computer ---

IN_A_ZONE = """
    import sys
    from pathlib import Path
    from tests.io_managers.test_round_trips import MANAGERS, check

    for name in sys.argv[2:]:
        for kind in ("parquet", "duckdb"):
            make, refused = MANAGERS[kind]
            check(make(Path(sys.argv[1])), name, refused)
    print("same")
"""


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York"])
@pytest.mark.sample(1)
def test_times_do_not_depend_on_the_zone_of_the_computer(tmp_path, zone):
    names = [name for name in TABLES if "zone" in name or "offset" in name or "times" in name]
    command = [sys.executable, "-c", textwrap.dedent(IN_A_ZONE), str(tmp_path), *names]
    done = subprocess.run(command, env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=False)
    assert done.stdout == "same\n", done.stderr


def test_times_in_a_table_of_another_program_are_read_in_utc(tmp_path, monkeypatch):
    path = tmp_path / "tables.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        connection.execute("CREATE TABLE s AS SELECT TIMESTAMPTZ '2024-01-01 09:00:00' AS at")
    table = DuckDBIOManager(path).load_input(InputContext(OutputContext(run_id=None, step="s")))
    assert table.schema.field("at").type.tz == "UTC"
    assert table["at"].cast(pa.timestamp("us")).to_pylist()[0].hour == 0


# --- annotations ---

FORMS = [pa.Table, pa.RecordBatch, pd.DataFrame, pl.DataFrame, pl.LazyFrame, duckdb.DuckDBPyRelation]
CONVERTED = [
    "pandas: integers",
    "pandas: text as objects",
    "pandas: nullable integers",
    "pandas: categories",
    "pandas: times with a zone",
    "pandas: named index",
    "pandas: two levels of rows",
    "polars: categories",
    "polars: times with a zone",
    "polars: lists",
    "polars: lazy",
    "pyarrow: plain",
    "pyarrow: structs",
    "pyarrow: times with a zone, us",
    "pyarrow: ordered categories",
    "pyarrow: a record batch",
]


def modes(tmp_path):
    files = filesystem_io_manager
    return [
        Mode("memory", resources={"io_manager": memory_io_manager}),
        Mode("files", resources={"io_manager": files}),
        Mode("parquet", resources={"io_manager": parquet_io_manager(tmp_path)}),
        Mode("duckdb", resources={"io_manager": duckdb_io_manager(tmp_path / "tables.duckdb")}),
    ]


def taken(tmp_path, mode, name, annotation):
    """What a step annotated that way is given, in a pipeline of that mode."""
    seen = []

    @step
    def gives():
        return TABLES[name]()

    def takes(table) -> None:
        # A relation belongs to the process-wide connection of DuckDB, and is looked at as a table.
        seen.append((type(table), table.to_arrow_table() if form is duckdb.DuckDBPyRelation else table))

    form = annotation
    takes.__annotations__["table"] = annotation

    @pipeline(modes=modes(tmp_path))
    def passed():
        step(takes)(gives())

    config = {"resources": {"io_manager": {"config": {"base_dir": str(tmp_path)}}}} if mode == "files" else {}
    result = passed.execute_in_process(mode=mode, config=config)
    assert result.success, result.failure("takes") or result.failure("gives")
    return seen[0]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.__module__.partition('.')[0]}.{form.__name__}")
@pytest.mark.parametrize("name", CONVERTED)
@pytest.mark.sample(42)
def test_every_manager_gives_a_step_the_same_table_in_the_form_of_its_annotation(tmp_path, name, form):
    kind, first = taken(tmp_path, "memory", name, form)
    assert issubclass(kind, form)
    for mode in ("files", "parquet", "duckdb"):
        other, table = taken(tmp_path, mode, name, form)
        assert other is kind
        assert_same(first, table)


@pytest.mark.parametrize("mode", MANAGERS)
@pytest.mark.parametrize(
    "annotation", [pd.DataFrame | None, pa.Table | pd.DataFrame, "pd.DataFrame", pd.DataFrame], ids=str
)
def test_an_annotation_that_allows_the_form_that_was_stored_keeps_it(tmp_path, mode, annotation):
    kind, _ = taken(tmp_path, mode, "pandas: integers", annotation)
    assert kind is pd.DataFrame


@pytest.mark.parametrize("mode", MANAGERS)
def test_members_of_a_list_are_converted_one_by_one(tmp_path, mode):
    @step
    def gives() -> pa.Table:
        return pa.table({"a": [1]})

    @step
    def kinds(tables: list[pd.DataFrame]) -> None:
        assert [type(table) for table in tables] == [pd.DataFrame, pd.DataFrame]

    @pipeline(modes=modes(tmp_path))
    def passed():
        kinds([gives(), gives.alias("again")()])

    config = {"resources": {"io_manager": {"config": {"base_dir": str(tmp_path)}}}} if mode == "files" else {}
    assert passed.execute_in_process(mode=mode, config=config).success


def test_what_an_annotation_asks_for_and_cannot_be_had_unchanged_says_why():
    @step
    def gives():
        return pd.DataFrame({"c": [1, "x"]})

    @step
    def takes(table: pl.DataFrame) -> None: ...

    @pipeline
    def passed():
        takes(gives())

    message = why(passed.execute_in_process(), "takes")
    assert message.startswith(
        "Failure: A pandas.DataFrame cannot be made a polars.DataFrame without changing it: column 'c'"
    )


@pytest.mark.parametrize("kind", MANAGERS)
def test_integers_that_no_float_can_hold_stay_integers_in_pandas(tmp_path, kind):
    table = pa.table({"id": [2**53 + 1, None], "small": [1, None]})
    frame = taken(tmp_path, kind, "pyarrow: plain", pd.DataFrame)[1]
    assert frame["a"].dtype == "float64"  # as pandas itself would have it
    TABLES["large identifiers"] = lambda: table
    try:
        frame = taken(tmp_path, kind, "large identifiers", pd.DataFrame)[1]
    finally:
        del TABLES["large identifiers"]
    assert frame["id"].tolist() == [2**53 + 1, pd.NA]
    assert frame["small"].dtype == "float64"


# --- relations of DuckDB ---


@pytest.mark.parametrize("kind", ["parquet", "duckdb"])
def test_a_relation_is_a_table(tmp_path, kind):
    make, _ = MANAGERS[kind]
    orders = pa.table({"id": [1, 2]})
    back = round_trip(make(tmp_path), duckdb.from_arrow(orders).filter("id > 1"))
    assert isinstance(back, duckdb.DuckDBPyRelation)
    assert back.to_arrow_table().to_pylist() == [{"id": 2}]


# --- tables that something else has written or edited ---


def edited(tmp_path, table, *statements):
    path = tmp_path / "tables.duckdb"
    manager = DuckDBIOManager(path)
    manager.handle_output(OutputContext(step="s"), table)
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return manager.load_input(InputContext(OutputContext(step="s")))


FRAME = pd.DataFrame(
    {
        "c": pd.Categorical(["a", "b"], categories=["b", "a"], ordered=True),
        "t": pd.to_datetime(["2024-01-01", "2024-01-02"]).tz_localize("Europe/Berlin"),
        "n": pd.Series([1, None], dtype="Int64").array,
    },
    index=pd.Index([10, 20], name="id"),
)


def test_rows_edited_by_another_program_are_read_in_the_types_that_were_stored(tmp_path):
    back = edited(tmp_path, FRAME, "UPDATE s SET n = 5", "DELETE FROM s WHERE id = 20")
    assert_same(FRAME.loc[[10]].assign(n=pd.array([5], "Int64")), back)


def test_a_value_that_was_no_category_makes_the_column_text(tmp_path):
    back = edited(tmp_path, FRAME, "UPDATE s SET c = 'new' WHERE id = 20")
    assert back["c"].tolist() == ["a", "new"]
    assert back.index.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("ALTER TABLE s ADD COLUMN more INTEGER", ["c", "t", "n", "id", "more"]),
        ("ALTER TABLE s DROP COLUMN n", ["c", "t", "id"]),
        ("ALTER TABLE s RENAME COLUMN n TO m", ["c", "t", "m", "id"]),
        ("ALTER TABLE s DROP COLUMN id", ["c", "t", "n"]),
    ],
)
def test_a_table_with_other_columns_now_is_read_with_them(tmp_path, statement, columns):
    back = edited(tmp_path, FRAME, statement)
    assert list(back.columns) == columns
    assert str(back["t"].dtype) == str(FRAME["t"].dtype)


def test_a_column_of_another_type_now_is_read_as_that(tmp_path):
    back = edited(tmp_path, FRAME, "ALTER TABLE s ALTER COLUMN n TYPE VARCHAR USING 'x'")
    assert back["n"].tolist() == ["x", "x"]


def test_tables_of_version_0_1_0_are_read(tmp_path):
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
        connection.execute("CREATE TABLE s AS SELECT 1 AS n")
        connection.execute("COMMENT ON TABLE s IS 'orchestrator: pandas'")
    (tmp_path / "test" / "s").mkdir(parents=True)
    old = pa.Table.from_pandas(FRAME)
    old = old.replace_schema_metadata({**old.schema.metadata, b"orchestrator.table": b"pandas"})
    pq.write_table(old, tmp_path / "test" / "s" / "result.parquet")
    context = InputContext(OutputContext(step="s"))
    pd.testing.assert_frame_equal(
        DuckDBIOManager(tmp_path / "tables.duckdb").load_input(context), pd.DataFrame({"n": [1]}), check_dtype=False
    )
    pd.testing.assert_frame_equal(ParquetIOManager(tmp_path).load_input(context), FRAME)


def test_a_parquet_file_can_be_read_by_anything_else(tmp_path):
    ParquetIOManager(tmp_path).handle_output(OutputContext(step="s"), FRAME)
    frame = pd.read_parquet(tmp_path / "test" / "s" / "result.parquet")
    pd.testing.assert_frame_equal(frame, FRAME)


def test_what_is_written_beside_a_table_does_not_grow_with_it(tmp_path):
    sizes = []
    for rows in (1, 10_000):
        table = pa.table({"text": [f"text {n}" for n in range(rows)], "list": [[n] for n in range(rows)]})
        DuckDBIOManager(tmp_path / "tables.duckdb").handle_output(OutputContext(step="s"), table)
        with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
            sizes.append(connection.execute("SELECT length(comment) FROM duckdb_tables()").fetchall())
    assert sizes[0] == sizes[1]
