"""A secret that is planted in everything that user code can say is in no file below the state directory and in nothing
that any command prints. What is searched for is written by the standard library, apart from what hides it."""

import base64
import gzip
import json
import random
import string
import tarfile
import urllib.parse

import pytest

PIPELINES = '''
    import atexit, base64, json, logging, multiprocessing, os, sys, threading, urllib.parse
    from dataclasses import dataclass
    from pydantic import BaseModel, field_validator
    from orchestrator import (
        AssetMaterialization, Expectation, Failure, Mode, RetryPolicy, RunRequest, SkipReason, failure_hook, pipeline,
        resource, run_status_sensor, schedule, sensor, step,
    )

    SECRET = os.environ["PASSWORD"]

    def say(secret, where):
        """In every form, everywhere."""
        forms = [
            secret, repr(secret), json.dumps(secret), urllib.parse.quote(secret), urllib.parse.quote_plus(secret),
            base64.b64encode(f"user:{secret}".encode()).decode(), secret.encode().hex(), f"{secret.encode()!r}",
        ]
        for form in forms:
            print(where, form)
            print(where, form, file=sys.stderr)
            logging.getLogger("lib").warning("%s %s", where, form)
        return " ".join(forms)

    @dataclass
    class Login:
        password: str

    class Picky(BaseModel):
        password: str

        @field_validator("password")
        @classmethod
        def check(cls, value):
            if os.environ.get("PICKY") == "wrong":
                raise ValueError(f"it begins with {value[:6]}")
            if os.environ.get("PICKY") == "broken":
                raise RuntimeError(f"cannot check {value}")
            return value

    @resource
    def database(context, config: Login):
        yield say(config.password, "resource")
        raise RuntimeError(say(config.password, "teardown"))

    @failure_hook
    def hook(context):
        raise RuntimeError(say(SECRET, "hook"))

    @step(resources={"database"}, hooks={hook})
    def tells(context, config: Picky):
        said = say(config.password, "step")
        context.log.info(said)
        context.log_asset(AssetMaterialization(
            "table", description=said, metadata={said: [{said: said}]}, tags={"key": said}, partition=said,
        ))
        threading.Thread(target=say, args=(config.password, "thread")).start()
        atexit.register(say, config.password, "atexit")
        worker = multiprocessing.get_context("fork").Process(target=lambda: context.log.info(say(SECRET, "worker")))
        worker.start(); worker.join()
        yield Expectation(False, label=said, description=said, metadata={"x": said})
        try:
            raise KeyError(said)
        except KeyError as error:
            failure = Failure(said, metadata={"said": said})
            failure.add_note(said)
            raise failure from error

    @pipeline(modes=[Mode("default", resources={"database": database})])
    def telling():
        tells()

    @sensor(pipeline=telling, default_on=True)
    def skips(context):
        return SkipReason(say(SECRET, "sensor"))

    @sensor(pipeline=telling, default_on=True)
    def fails(context):
        raise ValueError(say(SECRET, "sensor"))

    LOGIN = {"config": {"password": {"env": "PASSWORD"}}}
    CONFIG = {"steps": {"tells": LOGIN}, "resources": {"database": LOGIN}}

    @sensor(pipeline=telling, default_on=True)
    def asks(context):
        return RunRequest("once", CONFIG, tags={"said": say(SECRET, "sensor")})

    @schedule(cron="* * * * *", pipeline=telling)
    def often(context):
        raise ValueError(say(SECRET, "schedule"))

    @run_status_sensor(status="FAILURE", default_on=True)
    def alert(context, run):
        raise ValueError(say(SECRET, "alert"))
'''
BROKEN = """
    import os
    print(os.environ["PASSWORD"])
    raise RuntimeError(f"no connection with {os.environ['PASSWORD']}")
"""


@pytest.fixture
def secret():
    rng = random.Random()
    middle = "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(12))
    return f"k{middle}/+ '\"\\&%é{middle[::-1]}"


def forms(secret):
    """What must be nowhere: the secret as different programs write it, and each half of it by itself."""
    for text in (secret, secret[:13], secret[-12:]):
        yield text
        yield json.dumps(text)[1:-1]
        yield urllib.parse.quote(text)
        yield urllib.parse.quote_plus(text)
        yield text.encode().hex()
    for lead in range(3):
        yield base64.b64encode(b"x" * lead + secret.encode()).decode()[4:-4]


def leaks(secret, texts):
    """(where, the line) of each text that quotes the secret."""
    lines = ((name, line) for name, text in texts.items() for line in text.splitlines())
    return [(name, line) for name, line in lines if any(form in line for form in forms(secret))]


def contents(path):
    """Every file below the directory, unpacked where it is packed."""
    for file in path.rglob("*"):
        if not file.is_file():
            continue
        if file.name.endswith(".tar.gz"):
            with tarfile.open(file) as archive:
                for member in archive:
                    yield f"{file}:{member.name}", archive.extractfile(member).read()
        elif file.suffix == ".gz":
            yield str(file), gzip.decompress(file.read_bytes())
        else:
            yield str(file), file.read_bytes()


@pytest.mark.long
def test_a_planted_secret_is_nowhere(bench, secret):
    bench.write(PIPELINES)
    bench.write(BROKEN, "broken.py")
    bench.settings("""
        locations:
          - {name: main, file: pipelines.py, env: {PASSWORD: {env: OUTER}}}
          - {name: broken, file: broken.py, env: {PASSWORD: {env: OUTER}}}
    """)
    given = []
    for where in ("steps.tells", "resources.database"):
        given += ["--set", f"{where}.config.password={{env: PASSWORD}}"]
    shown = []

    def command(*arguments, here=False, **environment):
        done = (bench.here if here else bench)(*arguments, OUTER=secret, **environment)
        shown.append(done)
        return done

    for options in ([], ["--executor", "in_process"]):
        assert command("run", "telling", *given, *options).code == 1
    assert "it begins with ***" in command("run", "telling", *given, PICKY="wrong").err
    assert "is not valid" in command("run", "telling", *given, PICKY="broken").err
    command("daemon", "tick")
    command("daemon", "tick", PICKY="broken")
    assert "***" in command("simulate", "--to", "+5m", "--set-on", "often", "--all", "--sensors").out
    for arguments in (
        ["status"], ["config", "show"], ["config", "check"], ["pipeline", "config", "telling"],
        ["sensor", "preview", "asks"], ["schedule", "preview", "often"],
    ):  # fmt: skip
        command(*arguments)
    for arguments in (
        ["runs", "list", "--json"], ["runs", "show", "last"], ["runs", "events", "last"], ["runs", "logs", "last"],
        ["asset", "show", "table"], ["asset", "history", "table"], ["sql", "select * from ticks"],
        ["sql", "select * from runs"], ["sensor", "ticks", "--json"],
    ):  # fmt: skip
        command(*arguments, here=True)
    assert "***" in "".join(done.out for done in shown)
    assert leaks(secret, {repr(done.command): done.out + done.err for done in shown}) == []
    found = {name: data.decode(errors="replace") for name, data in contents(bench.state)}
    assert len(found) > 20
    assert leaks(secret, found) == []
