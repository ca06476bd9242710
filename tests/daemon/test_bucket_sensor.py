"""A sensor on a bucket: each key is run once, whatever happens to the daemon or to the bucket in between."""

import boto3
import pytest
from moto.moto_api._internal import moto_api_backend
from moto.server import ThreadedMotoServer

PIPELINES = """
    import os
    from dataclasses import dataclass
    import boto3
    import pyarrow as pa
    from orchestrator import Mode, RunRequest, parquet_io_manager, pipeline, sensor, step

    SERVER = os.environ["S3_SERVER"]

    def get_s3_keys(bucket):
        client = boto3.client("s3", endpoint_url=f"http://{SERVER}", region_name="us-east-1")
        return sorted(item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", ()))

    @dataclass
    class Object:
        key: str

    @step(io_manager="tables")
    def read(config: Object) -> pa.Table:
        client = boto3.client("s3", endpoint_url=f"http://{SERVER}", region_name="us-east-1")
        text = client.get_object(Bucket="inbox", Key=config.key)["Body"].read().decode()
        return pa.table({"key": [config.key], "text": [text]})

    @step
    def log_it(table: pa.Table) -> None:
        (row,) = table.to_pylist()
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{row['key']}={row['text']}\\n".encode())
        os.close(descriptor)

    LAKE = f"s3://lake/tables?endpoint_override={SERVER}&scheme=http&region=us-east-1"

    @pipeline(modes=[Mode("default", resources={"tables": parquet_io_manager(LAKE)})])
    def log_s3_pipeline():
        log_it(read())

    @sensor(pipeline=log_s3_pipeline, interval=0.2, default_on=True)
    def toy_s3_sensor(context):
        for s3_key in get_s3_keys("inbox"):
            yield RunRequest(run_key=s3_key, config={"steps": {"read": {"config": {"key": s3_key}}}})
"""


@pytest.fixture
def s3(monkeypatch):
    """A server that speaks S3, with an inbox and a lake; commands find it through the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    address = "{}:{}".format(*server.get_host_and_port())
    monkeypatch.setenv("S3_SERVER", address)
    client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
    moto_api_backend.reset()  # what an earlier server of this process held is still there
    client.create_bucket(Bucket="lake")
    yield client
    server.stop()


def ticks(bench):
    return bench.json("sensor", "ticks", "toy_s3_sensor")


@pytest.mark.long
def test_each_key_of_a_bucket_is_run_once_through_failures_of_the_bucket_and_of_the_daemon(bench, daemon, s3):
    bench.write(PIPELINES)
    daemon.start()
    # The bucket is not there yet: that delays runs, and puts nothing into a bad state.
    daemon.until(lambda: any("NoSuchBucket" in str(tick["error"]) for tick in ticks(bench)), "a failed tick")
    s3.create_bucket(Bucket="inbox")
    s3.put_object(Bucket="inbox", Key="a.csv", Body=b"one")
    s3.put_object(Bucket="inbox", Key="b.csv", Body=b"two")
    daemon.until_ledger("a.csv=one", "b.csv=two")
    daemon.kill()
    s3.put_object(Bucket="inbox", Key="c.csv", Body=b"three")
    daemon.start().until_ledger("c.csv=three")
    evaluated = ticks(bench)[0]["tick_id"]
    daemon.until(lambda: ticks(bench)[0]["tick_id"] != evaluated, "another tick")
    assert sorted(bench.ledger()) == ["a.csv=one", "b.csv=two", "c.csv=three"]
    runs = bench.json("runs", "list")
    assert sorted(run["trigger"]["run_key"] for run in runs) == ["a.csv", "b.csv", "c.csv"]
    stored = s3.list_objects_v2(Bucket="lake")["Contents"]
    assert {item["Key"] for item in stored} == {f"tables/{run['run_id']}/read/result.parquet" for run in runs}
    daemon.stop()
