"""Tables as parquet files in object storage: the same manager, against a server that speaks S3."""

import pyarrow as pa
import pytest

from orchestrator import (
    DynamicOut,
    DynamicOutput,
    InputContext,
    Mode,
    Out,
    OutputContext,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    step,
)
from orchestrator.io_managers.parquet import ParquetIOManager
from tests.definitions.short import run, why
from tests.io_managers.conftest import SECRET

TABLE = pa.table({"name": ["Ada", "Grace"], "age": [51, 48]})


@pytest.fixture
def uri(server, bucket):
    return f"s3://lake/tables?endpoint_override={server}&scheme=http&region=us-east-1"


@step
def make_people() -> pa.Table:
    return TABLE


@step
def over_50(people: pa.Table) -> pa.Table:
    return people.filter(pa.compute.greater(people["age"], 50))


def keys(bucket):
    return sorted(item.key for item in bucket.objects.all())


def test_tables_pass_between_steps_through_the_bucket(bucket, uri):
    @pipeline(modes=[Mode("m", resources={"io_manager": parquet_io_manager(uri)})])
    def people():
        over_50(make_people())

    result = people.execute_in_process()
    assert result.output("over_50").to_pylist() == [{"name": "Ada", "age": 51}]
    assert keys(bucket) == [
        f"tables/{result.run_id}/make_people/result.parquet",
        f"tables/{result.run_id}/over_50/result.parquet",
    ]


def test_the_asset_says_where_it_lies_and_nothing_of_how_it_was_reached(bucket, uri):
    result = run(make_people, resources={"io_manager": parquet_io_manager(uri)})
    (event,) = [event for event in result.events if type(event).__name__ == "AssetMaterialized"]
    assert event.metadata["path"]["value"] == f"s3://lake/tables/{result.run_id}/make_people/result.parquet"
    assert event.metadata["bytes"] == next(iter(bucket.objects.all())).size
    assert SECRET not in repr(result.events)


def test_a_path_of_ones_own_and_one_file_a_key(bucket, uri):
    @step(outputs=DynamicOut(pa.Table, metadata={"path": "daily/parts.parquet"}))
    def parts():
        for key in "ab":
            yield DynamicOutput(TABLE, key=key)

    @step(outputs=Out(pa.Table, metadata={"path": "all.parquet"}))
    def together(parts: list[pa.Table]):
        return pa.concat_tables(parts)

    @pipeline(modes=[Mode("m", resources={"io_manager": parquet_io_manager(uri)})])
    def wired():
        together(parts().collect())

    for _ in range(2):
        assert wired.execute_in_process().output("together").num_rows == 4
    assert keys(bucket) == ["tables/all.parquet", "tables/daily/parts/a.parquet", "tables/daily/parts/b.parquet"]


def test_a_table_that_is_gone_says_where_it_should_be(bucket, uri):
    @step(io_manager="memory")
    def count(people: pa.Table) -> int:
        bucket.objects.all().delete()
        return people.num_rows

    @pipeline(modes=[Mode("m", resources={"io_manager": parquet_io_manager(uri), "memory": memory_io_manager})])
    def wired():
        people = make_people()
        first = count(people)
        count.alias("again")(people, after=first)

    result = wired.execute_in_process()
    assert why(result, "again").startswith(
        "Failure: There is no stored table for output 'result' of step 'make_people':"
        f" s3://lake/tables/{result.run_id}/make_people/result.parquet does not exist. Run that step again."
    )


def test_a_bucket_that_is_not_there_fails_the_step_and_shows_no_secret(server, bucket):
    nowhere = f"s3://nowhere/x?endpoint_override={server}&scheme=http&region=us-east-1&allow_bucket_creation=false"
    result = run(make_people, resources={"io_manager": parquet_io_manager(nowhere)})
    assert not result.success
    assert "nowhere" in why(result, "make_people")
    assert SECRET not in repr(result.events)


def test_credentials_in_the_uri_are_not_shown(server, bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with_key = f"s3://key:{SECRET}@lake/x?endpoint_override={server}&scheme=http&region=us-east-1"
    manager = parquet_io_manager(with_key)
    result = run(make_people, resources={"io_manager": manager})
    assert result.success
    assert SECRET not in repr(result.events)
    assert SECRET not in manager.description


def test_runs_that_overlap_read_their_own_object(bucket, uri):
    active = {"r1", "r2"}
    manager = ParquetIOManager(uri)

    def context(run):
        return OutputContext(run_id=run, step="s", metadata={"path": "daily.parquet"}, is_active=active.__contains__)

    for name in ("r1", "r2"):
        manager.handle_output(context(name), pa.table({"run": [name]}))
    loaded = [manager.load_input(InputContext(context(name))) for name in ("r1", "r2")]
    assert [table["run"].to_pylist() for table in loaded] == [["r1"], ["r2"]]
    active.clear()
    manager.handle_output(context("r3"), TABLE)
    # Without the empty objects that stand for directories.
    assert [key for key in keys(bucket) if not key.endswith("/")] == ["tables/daily.parquet"]
