"""One run never reads another run's value, whatever place their values share."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pandas as pd
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
    filesystem_io_manager,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    step,
)
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.duckdb import DuckDBIOManager
from orchestrator.io_managers.filesystem import FilesystemIOManager
from orchestrator.io_managers.identity import Identity, check_read, check_write, identity_of
from orchestrator.io_managers.kept import run_to_keep
from orchestrator.io_managers.parquet import ParquetIOManager
from tests.definitions.short import why

OURS = OutputContext(run_id="r1", pipeline="p", step="load", name="result")


def stored(**changes):
    """The identity of a value like ours but for some of it."""
    return identity_of(dataclasses.replace(OURS, **changes))


# --- what fits what ---

READS = {
    "the value itself": (OURS, stored(), True, None),
    "of another attempt": (OURS, stored(attempt=2), True, None),
    "without identity": (OURS, None, True, None),
    "of another run": (OURS, stored(run_id="r2"), True, "run r2 of pipeline 'p' has replaced it"),
    "of another run, at a place of one run": (OURS, stored(run_id="r2"), False, "run r2 of pipeline 'p' has"),
    "of a run of another pipeline": (OURS, stored(run_id="r2", pipeline="q", step="x"), True, "run r2 of pipeline 'q'"),
    "of another step": (OURS, stored(step="x"), True, "holds output 'result' of step 'x' of run r1"),
    "of another output": (OURS, stored(name="x"), True, "holds output 'x' of step 'load' of run r1"),
    "of another key": (OURS, stored(mapping_key="a"), True, "holds output 'result' (key 'a') of step 'load'"),
    "of a step that is called alike": (OURS, stored(step="LOAD"), False, "does not tell names apart by case"),
    "asked for without a run": (dataclasses.replace(OURS, run_id=None), stored(), True, None),
    "asked for without a run, of another step": (
        dataclasses.replace(OURS, run_id=None),
        stored(step="x"),
        True,
        "holds output 'result' of step 'x'",
    ),
    "asked for without a run, of another pipeline": (
        dataclasses.replace(OURS, run_id=None),
        stored(step="x", pipeline="q"),
        True,
        None,
    ),
    "of a version, made by another run": (
        dataclasses.replace(OURS, version="v"),
        stored(run_id="r2", version="v"),
        False,
        None,
    ),
    "of a version, at a place of all versions": (
        dataclasses.replace(OURS, version="v"),
        stored(run_id="r2", version="v"),
        True,
        "run r2 of pipeline 'p' has replaced it",
    ),
}


@pytest.mark.parametrize("name", READS)
def test_a_value_is_read_if_it_is_the_one_that_is_asked_for(name):
    context, found, shared, problem = READS[name]
    if problem is None:
        check_read(found, context, "here", shared=shared)
    else:
        with pytest.raises(Failure) as caught:
            check_read(found, context, "here", shared=shared)
        assert problem in str(caught.value)
        assert not caught.value.allow_retries  # trying again changes nothing


WRITES = {
    "nothing there": (None, None),
    "the value of another run": (stored(run_id="r2", step="x"), None),
    "an earlier attempt": (stored(attempt=1), None),
    "another output of the same run": (
        stored(step="x"),
        "here holds output 'result' of step 'x' of run r1, and output",
    ),
    "one that is called alike": (stored(step="Load"), "does not tell names apart by case"),
    "another key": (stored(mapping_key="A"), "holds output 'result' (key 'A')"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_value_is_replaced_unless_the_same_run_needs_it(name):
    found, problem = WRITES[name]
    if problem is None:
        check_write(found, OURS, "here")
    else:
        with pytest.raises(Failure) as caught:
            check_write(found, OURS, "here")
        assert problem in str(caught.value)


LOADERS = {
    "files": FilesystemIOManager,
    "parquet": ParquetIOManager,
    "duckdb": lambda directory: DuckDBIOManager(directory / "tables.duckdb"),
}
TABLE = pa.table({"n": [1]})


# --- runs at the same time ---

MANAGERS = {
    "memory": lambda directory: memory_io_manager,
    "files": lambda directory: filesystem_io_manager,
    "parquet": parquet_io_manager,
    "duckdb": lambda directory: duckdb_io_manager(directory / "tables.duckdb"),
}
OWN_PLACES = [
    ("memory", {}),
    ("files", {}),
    ("parquet", {}),
    ("parquet", {"path": "{run_id}/file.parquet"}),
    ("duckdb", {"table": "file_{run_id}"}),
]
SHARED_PLACES = [
    ("parquet", {"path": "file.parquet"}, "file.parquet no longer holds"),
    ("duckdb", {}, "Table main.read in "),
    ("duckdb", {"table": "raw.file"}, "Table raw.file in "),
]


def overlapping_runs(tmp_path, kind, metadata):
    """Two runs: the second takes place as a whole between two steps of the first. What each has published."""
    published = []

    @step(outputs=Out(pd.DataFrame, metadata=metadata))
    def read(config: dict):
        return pd.DataFrame({"file": [config["file"]]})

    @step(io_manager="memory")
    def other_run(config: dict) -> None:
        if "then" in config:
            runs.append(publishing.execute_in_process(config=config_of(config["then"])))

    @step(io_manager="memory")
    def publish(context, table: pd.DataFrame) -> None:
        published.append((context.run_id, table["file"][0]))

    @pipeline(modes=[Mode("m", resources={"io_manager": MANAGERS[kind](tmp_path), "memory": memory_io_manager})])
    def publishing():
        table = read()
        publish(table, after=other_run(after=table))

    def config_of(file, **more):
        resources = {"io_manager": {"config": {"base_dir": str(tmp_path)}}} if kind == "files" else {}
        steps = {"read": {"config": {"file": file}}, "other_run": {"config": more}}
        return {"resources": resources, "steps": steps}

    runs = []
    runs.insert(0, publishing.execute_in_process(config=config_of("a", then="b")))
    return runs, published


@pytest.mark.parametrize(("kind", "metadata"), OWN_PLACES)
def test_runs_at_the_same_time_publish_their_own_rows(tmp_path, kind, metadata):
    (first, second), published = overlapping_runs(tmp_path, kind, metadata)
    assert first.success, first.failure("publish")
    assert published == [(second.run_id, "b"), (first.run_id, "a")]


@pytest.mark.parametrize(("kind", "metadata", "place"), SHARED_PLACES)
def test_a_run_whose_value_another_has_replaced_fails_and_names_the_other(tmp_path, kind, metadata, place):
    (first, second), published = overlapping_runs(tmp_path, kind, metadata)
    assert published == [(second.run_id, "b")]
    message = why(first, "publish")
    assert place in message
    assert f"the value that run {first.run_id} stored there" in message
    assert f"run {second.run_id} of pipeline 'publishing' has replaced it" in message
    assert "tag limit" in message
    assert "{run_id}" in message


# --- runs at the same time in one workspace: it is known that the other one goes on ---

ACTIVE = {"r1", "r2", "r3"}
SHARED = [
    ("duckdb", {}),
    ("duckdb", {"table": "raw.x"}),
    ("parquet", {"path": "x.parquet"}),
    ("parquet", {"path": "a/x"}),
]


class Runs:
    """Runs that store and load the same output, some of them under way."""

    def __init__(self, manager, metadata):
        self.active = set(ACTIVE)
        self._manager = manager
        self._metadata = metadata

    def context(self, run, **changes):
        return dataclasses.replace(
            OURS, run_id=run, metadata=self._metadata, is_active=self.active.__contains__, **changes
        )

    def stores(self, run, **changes):
        self._manager.handle_output(self.context(run, **changes), pa.table({"run": [run]}))

    def loads(self, run):
        return self._manager.load_input(InputContext(self.context(run)))["run"][0].as_py()


@pytest.fixture(params=SHARED, ids=str)
def runs(request, tmp_path):
    kind, metadata = request.param
    return Runs(LOADERS[kind](tmp_path), metadata)


def whats_there(directory):
    files = [str(path.relative_to(directory)) for path in directory.rglob("*") if not path.name.endswith(".lock")]
    database = directory / "tables.duckdb"
    if not database.exists():
        return sorted(files)
    with duckdb.connect(str(database)) as connection:
        tables = connection.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
        schemas = connection.execute("SELECT schema_name FROM duckdb_schemas() WHERE schema_name ~ 'kept'").fetchall()
    return sorted(name for (name,) in tables + schemas)


def test_each_of_several_runs_reads_its_own_value(runs):
    for run in ("r1", "r2", "r3"):
        runs.stores(run)
    assert [runs.loads(run) for run in ("r1", "r2", "r3", "r1")] == ["r1", "r2", "r3", "r1"]


def test_the_value_of_a_run_that_stores_it_again_is_the_last_one(runs):
    runs.stores("r1")
    runs.stores("r2")
    runs.stores("r1", attempt=2)
    assert [runs.loads("r1"), runs.loads("r2")] == ["r1", "r2"]
    runs.stores("r2", attempt=2)
    assert [runs.loads("r1"), runs.loads("r2")] == ["r1", "r2"]


def test_nothing_is_kept_for_a_run_that_has_ended(runs):
    runs.stores("r1")
    runs.active.discard("r1")
    runs.stores("r2")
    with pytest.raises(Failure, match="run r2 of pipeline 'p' has replaced it"):
        runs.loads("r1")


def test_what_was_kept_is_deleted_by_the_first_write_after_the_run_has_ended(runs, tmp_path):
    runs.stores("r1")
    alone = whats_there(tmp_path)
    runs.stores("r2")
    assert whats_there(tmp_path) != alone
    runs.active -= {"r1", "r2"}
    runs.stores("r3")
    assert whats_there(tmp_path) == alone


def test_many_runs_at_once_each_read_their_own_value(runs):
    names = [f"r{n}" for n in range(4)]
    runs.active.update(names)

    def stores_and_loads(name):
        seen = []
        for attempt in range(3):
            runs.stores(name, attempt=attempt)
            seen.append(runs.loads(name))
        return seen

    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(stores_and_loads, names)) == [[name] * 3 for name in names]


@pytest.mark.parametrize("name", ["../../r9", "", "a/b", None])
def test_only_what_can_be_a_run_is_kept_for(name):
    context = dataclasses.replace(OURS, is_active=lambda run: True)
    assert run_to_keep(Identity(name, "p", "load", "result"), context) is None


def test_a_table_keeps_its_types_while_it_is_kept(runs):
    frame = pd.DataFrame({"c": pd.Categorical(["a"], categories=["b", "a"])}, index=pd.Index([7], name="id"))
    runs._manager.handle_output(runs.context("r1"), frame)
    runs.stores("r2")
    pd.testing.assert_frame_equal(runs._manager.load_input(InputContext(runs.context("r1"))), frame)


# --- a run that goes on with the values of an earlier one ---


@pytest.mark.parametrize("kind", LOADERS)
def test_a_later_run_is_given_the_value_of_its_ancestor(tmp_path, kind):
    manager = LOADERS[kind](tmp_path)
    manager.handle_output(OURS, TABLE)
    assert manager.load_input(InputContext(OURS, run_id="r2")).equals(TABLE)


@pytest.mark.parametrize(("kind", "metadata"), [("duckdb", {}), ("parquet", {"path": "x.parquet"})])
def test_a_later_run_is_not_given_what_has_replaced_it(tmp_path, kind, metadata):
    manager = LOADERS[kind](tmp_path)
    ours = dataclasses.replace(OURS, metadata=metadata)
    manager.handle_output(ours, TABLE)
    manager.handle_output(dataclasses.replace(ours, run_id="r2"), TABLE)
    with pytest.raises(Failure, match="run r2 of pipeline 'p' has replaced it"):
        manager.load_input(InputContext(ours, run_id="r3"))
    # Selected by itself, a step takes whatever is there.
    manager.load_input(InputContext(dataclasses.replace(ours, run_id=None), run_id="r3"))


@pytest.mark.parametrize("kind", ["files", "parquet"])
def test_a_value_with_a_version_may_be_another_runs(tmp_path, kind):
    manager = LOADERS[kind](tmp_path)
    ours = dataclasses.replace(OURS, version="v1")
    manager.handle_output(dataclasses.replace(ours, run_id="r0"), TABLE)
    assert manager.load_input(InputContext(ours)).equals(TABLE)


def test_a_place_of_each_run_needs_a_run(tmp_path):
    for manager, metadata in (
        (LOADERS["parquet"](tmp_path), {"path": "{run_id}.parquet"}),
        (LOADERS["duckdb"](tmp_path), {"table": "x_{run_id}"}),
    ):
        with pytest.raises(Failure, match="name one with --rerun RUN"):
            manager.load_input(InputContext(dataclasses.replace(OURS, run_id=None, metadata=metadata)))


# --- two values of one run at the same place ---


def run_with(tmp_path, kind, wires):
    @pipeline(modes=[Mode("m", resources={"io_manager": MANAGERS[kind](tmp_path)})])
    def clashing():
        wires()

    return clashing.execute_in_process()


def gives(name, **metadata):
    @step(name=name, outputs=Out(metadata=metadata))
    def give():
        return TABLE

    return give


@pytest.mark.parametrize(
    ("kind", "metadata"), [("duckdb", {"table": "t"}), ("duckdb", {"table": "T"}), ("parquet", {"path": "t.parquet"})]
)
def test_two_steps_that_claim_the_same_place_are_told_so(tmp_path, kind, metadata):
    first = {"table": "t"} if kind == "duckdb" else metadata
    result = run_with(tmp_path, kind, lambda: gives("b", **metadata)(after=gives("a", **first)()))
    assert result.output("a").equals(TABLE)
    assert f"holds output 'result' of step 'a' of run {result.run_id}, and output 'result' of step 'b'" in why(
        result, "b"
    )


def test_steps_called_alike_do_not_share_a_table(tmp_path):
    result = run_with(tmp_path, "duckdb", lambda: gives("Load")(after=gives("load")()))
    assert "This store does not tell names apart by case." in why(result, "Load")
    assert result.output("load").equals(TABLE)


def test_an_output_is_not_taken_for_a_step_with_the_same_name_of_a_table(tmp_path):
    @step(outputs={"b": Out()})
    def a():
        yield Output(TABLE, "b")

    result = run_with(tmp_path, "duckdb", lambda: gives("a__b")(after=a()))
    assert "holds output 'b' of step 'a'" in why(result, "a__b")


def test_keys_called_alike_do_not_share_a_table(tmp_path):
    @step(outputs=DynamicOut())
    def parts():
        for key in ("A.csv", "a.csv"):
            yield DynamicOutput(pa.table({"key": [key]}), key=key)

    message = why(run_with(tmp_path, "duckdb", parts), "parts")
    assert "holds output 'result' (key 'A.csv') of step 'parts'" in message
    assert "does not tell names apart by case" in message
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
        assert connection.execute('SELECT key FROM "parts__A.csv"').fetchall() == [("A.csv",)]


@pytest.mark.parametrize("kind", ["files", "parquet"])
def test_on_a_disk_that_ignores_case_a_value_is_not_replaced_by_another_steps(tmp_path, kind):
    # Such a disk as seen by a program: both names lead to one directory.
    (tmp_path / "r1" / "load").mkdir(parents=True)
    (tmp_path / "r1" / "LOAD").symlink_to(tmp_path / "r1" / "load")
    manager = LOADERS[kind](tmp_path)
    manager.handle_output(OURS, TABLE)
    alike = dataclasses.replace(OURS, step="LOAD")
    with pytest.raises(Failure, match="does not tell names apart by case"):
        manager.handle_output(alike, TABLE)
    with pytest.raises(Failure, match="does not tell names apart by case"):
        manager.load_input(InputContext(alike))
    assert manager.load_input(InputContext(OURS)).equals(TABLE)


def test_who_made_a_value_can_be_seen_in_the_table(tmp_path):
    DuckDBIOManager(tmp_path / "tables.duckdb").handle_output(OURS, TABLE)
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
        ((comment,),) = connection.execute("SELECT comment FROM duckdb_tables()").fetchall()
    assert comment.startswith('orchestrator: {"made_by":{"run":"r1","pipeline":"p","step":"load","output":"result"}')


def test_an_identity_is_shown_in_words():
    assert str(Identity("r", "p", "s", "o", "k")) == "output 'o' (key 'k') of step 's'"
