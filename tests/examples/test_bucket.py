"""The example of a bucket, as its README says: in a directory, and on a server that speaks S3."""

from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SETTINGS = f"locations: [{{name: bucket, module: bucket.pipelines, working_dir: {EXAMPLES}}}]"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("BUCKET", (tmp_path / "bucket").as_uri())
    return lambda: {str(path.relative_to(tmp_path / "bucket")) for path in (tmp_path / "bucket").rglob("*.*")}


@pytest.fixture
def s3(monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "{}:{}".format(*server.get_host_and_port())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("BUCKET", f"s3://flights/2013?endpoint_override={address}&scheme=http&region=us-east-1")
    client = boto3.resource("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
    bucket = client.create_bucket(Bucket="flights")
    yield lambda: {one.key.removeprefix("2013/") for one in bucket.objects.all()}
    server.stop()


@pytest.mark.parametrize("place", ["directory", "s3"])
@pytest.mark.long
def test_each_object_becomes_a_table_once(bench, request, place):
    objects = request.getfixturevalue(place)
    bench.settings(SETTINGS)
    assert "nothing in " in bench("sensor", "preview", "new_objects").ok().err
    bench("sensor", "start", "new_objects").ok()
    bench("run", "upload").ok()
    bench("daemon", "tick").ok()
    bench("daemon", "tick").ok()
    (run,) = bench.json("runs", "list", "--pipeline", "punctuality")
    assert (run["status"], run["trigger"]["name"]) == ("SUCCESS", "bucket/new_objects")
    assert run["trigger"]["run_key"].startswith("2013-07-01.csv.gz of 20")
    tables = {f"tables/{run['run_id']}/{step}/result.parquet" for step in ("read", "by_airline")}
    assert tables | {"raw/2013-07-01.csv.gz"} <= objects()
    assert bench("runs", "logs", run["run_id"]).out.splitlines()[1].split()[:3] == ["say", "|", "HA"]
    assert "carrier" in bench("asset", "show", "by_airline").ok().out
