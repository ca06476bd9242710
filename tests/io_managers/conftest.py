"""A server that speaks S3, for the tests of managers that keep values in a bucket."""

import pytest

SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, as pyarrow's and boto's clients find it through the environment."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.resource("s3", endpoint_url=f"http://{server}", region_name="us-east-1")
    bucket = client.create_bucket(Bucket="lake")
    bucket.objects.all().delete()
    return bucket
