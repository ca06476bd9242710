"""Tables in a DuckDB file of the user's own."""

import subprocess
import sys
import textwrap

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from orchestrator import (
    DynamicOut,
    DynamicOutput,
    InputContext,
    Mode,
    Out,
    Output,
    OutputContext,
    duckdb_io_manager,
    memory_io_manager,
    pipeline,
    step,
)
from orchestrator.definitions.values import Failure
from orchestrator.io_managers import duckdb as module
from orchestrator.io_managers.duckdb import DuckDBIOManager
from orchestrator.locks import try_lock
from tests.definitions.short import run, why
from tests.io_managers.test_parquet import FORMS, ROWS, TABLE, assets, rows


@pytest.fixture
def path(tmp_path):
    return tmp_path / "warehouse.duckdb"


def query(path, sql):
    with duckdb.connect(str(path)) as connection:
        return connection.execute(sql).fetchall()


def tables(path):
    found = query(path, "SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL")
    return [".".join(row) for row in found]


def wired(path, wires):
    @pipeline(modes=[Mode("m", resources={"io_manager": duckdb_io_manager(path), "memory": memory_io_manager})])
    def in_duckdb():
        wires()

    return in_duckdb.execute_in_process()


def placed(value=TABLE, **metadata):
    @step(outputs=Out(metadata=metadata))
    def gives():
        return value

    return gives


# --- what comes back ---


@pytest.mark.parametrize("form", FORMS)
def test_without_an_annotation_a_table_comes_back_as_it_was_stored(path, form):
    make, kind = FORMS[form]
    manager = DuckDBIOManager(path)
    manager.handle_output(OutputContext(step="people"), make())
    back = manager.load_input(InputContext(OutputContext(step="people")))
    assert isinstance(back, kind)
    assert rows(back) == ROWS


@pytest.mark.parametrize("wanted", [pa.Table, pd.DataFrame, pl.DataFrame, pl.LazyFrame], ids=lambda t: t.__name__)
@pytest.mark.parametrize("stored", ["pyarrow", "pandas", "polars"])
def test_an_annotation_says_in_which_form_a_table_is_loaded(path, stored, wanted):
    manager = DuckDBIOManager(path)
    manager.handle_output(OutputContext(step="people"), FORMS[stored][0]())
    back = manager.load_input(InputContext(OutputContext(step="people"), type=wanted))
    assert isinstance(back, wanted)
    assert rows(back) == ROWS


# Location processes that other tests have let go on purpose may be garbage by now, and Python warns of that.
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
def test_steps_pass_tables_through_the_file(path):
    @step
    def make_people() -> pa.Table:
        return TABLE

    @step
    def over_50(people: pd.DataFrame) -> pd.DataFrame:
        return people[people.age > 50]

    result = wired(path, lambda: over_50(make_people()))
    assert rows(result.output("over_50")) == [{"name": "Ada", "age": 51}]
    assert tables(path) == ["main.make_people", "main.over_50"]


def test_a_table_that_something_else_wrote_is_a_pyarrow_table(path):
    query(path, "CREATE TABLE people AS SELECT 1 AS id")
    context = OutputContext(run_id=None, step="people")
    assert DuckDBIOManager(path).load_input(InputContext(context)).to_pylist() == [{"id": 1}]


def test_a_comment_that_something_else_wrote_is_left_at_that(path):
    query(path, "CREATE TABLE people AS SELECT 1 AS id; COMMENT ON TABLE people IS 'by hand'")
    context = OutputContext(run_id=None, step="people")
    assert isinstance(DuckDBIOManager(path).load_input(InputContext(context)), pa.Table)


# --- where it lies ---


def test_a_table_is_called_after_its_step_and_output_or_as_declared(path):
    @step(outputs={"result": Out(), "bad": Out(), "named": Out(metadata={"table": "marts.people"})})
    def three():
        for name in ("result", "bad", "named"):
            yield Output(TABLE, name)

    @pipeline
    def inner():
        three()

    wired(path, inner)
    assert tables(path) == ["main.inner__three", "main.inner__three__bad", "marts.people"]


def test_every_run_replaces_the_table_whatever_its_columns(path):
    manager = DuckDBIOManager(path)
    for table in (TABLE, pa.table({"other": ["x"]})):
        manager.handle_output(OutputContext(step="people"), table)
    assert query(path, "SELECT * FROM people") == [("x",)]


def test_each_key_of_a_mapped_step_and_of_a_dynamic_output_has_a_table_of_its_own(path):
    @step(outputs=DynamicOut())
    def parts():
        for key in ("a", "b-c"):
            yield DynamicOutput(pa.table({"key": [key]}), key=key)

    @step(outputs=Out(metadata={"table": "marts.clean"}))
    def clean(part: pa.Table):
        return part

    @step(outputs=DynamicOut())
    def deeper(part: pa.Table):
        for key in "01":
            yield DynamicOutput(part, key=key)

    result = wired(path, lambda: parts().map(lambda part: deeper(clean(part))))
    assert tables(path) == [
        *("main.deeper__a__0", "main.deeper__a__1", "main.deeper__b-c__0", "main.deeper__b-c__1"),
        *("main.parts__a", "main.parts__b-c"),
        *("marts.clean__a", "marts.clean__b-c"),
    ]
    assert result.output("clean[b-c]").to_pylist() == [{"key": "b-c"}]
    assert {event.partition for event in assets(result)} == {"a", "b-c", "a/0", "a/1", "b-c/0", "b-c/1"}


def test_the_directory_of_the_file_is_made(tmp_path):
    run(placed(), resources={"io_manager": duckdb_io_manager(tmp_path / "deep" / "down" / "x.duckdb")})
    assert (tmp_path / "deep" / "down" / "x.duckdb").is_file()


@pytest.mark.parametrize("table", ["", "a.b.c", "a.", ".b", 'a"b', 'a"; DROP TABLE x; --.b', "a\0b"], ids=repr)
def test_what_cannot_be_the_name_of_a_table_is_refused(path, table):
    message = why(run(placed(table=table), resources={"io_manager": duckdb_io_manager(path)}), "gives")
    assert message.startswith(f"Failure: {table!r} cannot be the table of output 'result': write a table, or a schema")
    assert not path.exists()


@pytest.mark.parametrize("table", ["select", "my table", "x'; DROP TABLE y; --", "Ünïcode"])
def test_any_other_name_is_only_a_name(path, table):
    assert run(placed(table=table), resources={"io_manager": duckdb_io_manager(path)}).success
    assert tables(path) == [f"main.{table}"]


# --- what the catalog is told ---


def test_each_table_is_recorded_as_an_asset(path):
    (event,) = assets(run(placed(table="marts.people"), resources={"io_manager": duckdb_io_manager(path)}))
    assert event.asset == ("gives",)
    assert event.metadata["rows"] == 2
    assert event.metadata["table"] == "marts.people"
    assert event.metadata["path"] == {"kind": "path", "value": str(path)}
    assert event.metadata["preview"]["value"] == ROWS


# --- what is refused ---


def test_what_is_no_table_is_refused(path):
    message = why(run(placed([1, 2]), resources={"io_manager": duckdb_io_manager(path)}), "gives")
    assert message.startswith("Failure: duckdb_io_manager stores tables (pyarrow, pandas or polars); output 'result'")


def test_a_table_that_is_gone_says_so(path):
    query(path, "SELECT 1")
    with pytest.raises(Failure) as caught:
        DuckDBIOManager(path).load_input(InputContext(OutputContext(step="people")))
    assert str(caught.value) == (
        f"There is no table main.people in {path} for output 'result' of step 'people'. Run that step again."
    )


def test_a_table_that_cannot_be_stored_leaves_the_one_before_in_place(path):
    manager = DuckDBIOManager(path)
    manager.handle_output(OutputContext(step="people"), TABLE)
    with pytest.raises(Failure, match="without columns"):
        manager.handle_output(OutputContext(step="people"), pa.table({}))
    assert manager.load_input(InputContext(OutputContext(step="people"))).num_rows == 2


# --- taking turns ---

WRITER = """
    import sys
    import pyarrow as pa
    from orchestrator import OutputContext
    from orchestrator.io_managers.duckdb import DuckDBIOManager

    path, name = sys.argv[1:]
    manager = DuckDBIOManager(path)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(15):
        manager.handle_output(OutputContext(step=f"{name}_{number}"), pa.table({"n": [number]}))
"""


@pytest.mark.long
def test_two_processes_that_write_at_the_same_time_take_turns(path):
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    writers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(tables(path)) == 30


def test_a_turn_that_does_not_come_fails_the_step_saying_what_it_waited_for(path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    held = try_lock(path.with_name("warehouse.duckdb.lock"))
    try:
        message = why(run(placed(), resources={"io_manager": duckdb_io_manager(path)}), "gives")
    finally:
        held.release()
    assert message.startswith(f"Failure: Another step has held {path} for 0 seconds.")


def test_the_turn_is_given_up_when_storing_fails(path):
    manager = DuckDBIOManager(path)
    query(path, "CREATE VIEW people AS SELECT 1")
    with pytest.raises(duckdb.Error, match="View"):
        manager.handle_output(OutputContext(step="people"), TABLE)
    lock = try_lock(path.with_name("warehouse.duckdb.lock"))
    assert lock is not None
    lock.release()
