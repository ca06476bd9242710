"""IO managers keep what passes between steps, so that steps are free of reading and writing."""

import pandas as pd
import pyarrow as pa

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    IOManager,
    Mode,
    Out,
    duckdb_io_manager,
    io_manager,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    step,
)


@step
def make_people() -> pa.Table:
    return pa.table({"name": ["Ada", "Grace"], "age": [51, 48]})


@step
def over_50(people: pd.DataFrame) -> pd.DataFrame:
    return people[people.age > 50]


def test_the_same_steps_keep_their_tables_in_memory_in_files_or_in_a_database(tmp_path):
    """The steps return tables and take tables; where those are in between is decided by the `io_manager` of the mode.
    Without one, values are kept as pickle files in the state directory (and in memory when run in process).

    Each step is handed its table in the form it is annotated with, whichever manager keeps it: here one step speaks
    pyarrow and the other pandas.
    """

    @pipeline(
        modes=[
            Mode("test", resources={"io_manager": memory_io_manager}),
            Mode("files", resources={"io_manager": parquet_io_manager(tmp_path / "lake")}),
            Mode("database", resources={"io_manager": duckdb_io_manager(tmp_path / "people.duckdb")}),
        ]
    )
    def filter_people():
        over_50(make_people())

    for mode in ("test", "files", "database"):
        result = filter_people.execute_in_process(mode=mode)
        assert list(result.output("over_50")["name"]) == ["Ada"]


def test_one_output_may_be_kept_elsewhere_than_the_rest(tmp_path):
    """Each output can name the manager that keeps it, and tell it something in `metadata`: here, in which file."""

    @step(outputs=Out(pa.Table, io_manager="lake", metadata={"path": "people.parquet"}))
    def publish():
        return pa.table({"name": ["Ada"]})

    @step
    def count(people: pa.Table) -> int:
        return people.num_rows

    @pipeline(modes=[Mode("default", resources={"lake": parquet_io_manager(tmp_path)})])
    def published():
        count(publish())

    assert published.execute_in_process().output("count") == 1
    assert (tmp_path / "people.parquet").is_file()


class TextFiles(IOManager):
    """Two methods are all there is to an IO manager of one's own."""

    def __init__(self, directory):
        self._directory = directory

    def handle_output(self, context, obj):
        path = self._path(context)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(obj))
        return AssetMaterialization(["text", context.step], metadata={"path": path, "letters": len(str(obj))})

    def load_input(self, context):
        return self._path(context.upstream_output).read_text()

    def _path(self, context):
        return self._directory.joinpath(*context.identifier()).with_suffix(".txt")


@io_manager(resources={"directory"})
def text_files(context):
    return TextFiles(context.resources.directory)


def test_an_io_manager_of_ones_own_stores_and_loads(tmp_path):
    """`handle_output` stores a value, `load_input` loads it again for a step that needs it; the context says which
    value it is. Whichever manager stored an output also loads it. What `handle_output` returns is recorded in the
    asset catalog."""

    @step
    def shout() -> str:
        return "hello"

    @step
    def echo(text: str) -> str:
        return text + text

    @pipeline(modes=[Mode("default", resources={"io_manager": text_files, "directory": tmp_path})])
    def echoes():
        echo(shout())

    result = echoes.execute_in_process()
    assert result.output("echo") == "hellohello"
    assert (tmp_path / result.run_id / "echo" / "result.txt").read_text() == "hellohello"


def test_each_of_many_values_is_kept_by_itself(tmp_path):
    """The values of a dynamic output (a later chapter) are stored one by one, each with its key."""

    @step(outputs=DynamicOut(str))
    def letters():
        for letter in "ab":
            yield DynamicOutput(letter, key=letter)

    @pipeline(modes=[Mode("default", resources={"io_manager": text_files, "directory": tmp_path})])
    def spelled():
        letters()

    result = spelled.execute_in_process()
    assert sorted(path.name for path in (tmp_path / result.run_id / "letters" / "result").iterdir()) == [
        "a.txt",
        "b.txt",
    ]
