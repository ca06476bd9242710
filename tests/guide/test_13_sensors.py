"""A sensor is asked again and again whether there is something to run."""

from pathlib import Path

from orchestrator import RunRequest, SensorContext, SkipReason, pipeline, sensor, step


@step
def load() -> None: ...


@pipeline
def loading():
    load()


@sensor(pipeline=loading, interval=30, timeout=10)
def new_files(context):
    for path in sorted(Path("inbox").glob("*.csv")):
        yield RunRequest(run_key=path.name, tags={"file": path.name})


@sensor(pipeline=loading)
def growing(context):
    lines = len(Path("log").read_text().splitlines())
    if lines == int(context.cursor or 0):
        return SkipReason("no new lines")
    context.update_cursor(str(lines))
    return RunRequest(tags={"lines": str(lines)})


def test_a_run_key_is_run_once_for_ever_so_a_sensor_need_not_remember(tmp_path, monkeypatch):
    """It may ask for the same keys at every look: each is run once, whatever is killed in between, and also after the
    run was deleted or made again. `orchestrator sensor forget NAME KEY` makes one usable again. Request without a key,
    and a run comes of every look."""
    monkeypatch.chdir(tmp_path)
    Path("inbox").mkdir()
    Path("inbox/a.csv").touch()
    assert [request.run_key for request in new_files(SensorContext())] == ["a.csv"]
    assert [request.run_key for request in new_files(SensorContext(last_run_key="a.csv"))] == ["a.csv"]


def test_a_cursor_is_for_what_keys_are_not(tmp_path, monkeypatch):
    """A text of your own, from look to look. If a look fails, it stays where it was. `orchestrator sensor cursor` shows
    and changes it."""
    monkeypatch.chdir(tmp_path)
    Path("log").write_text("one\ntwo\n")
    context = SensorContext()
    assert growing(context).tags == {"lines": "2"}
    assert context.cursor == "2"
    assert growing(context) == SkipReason("no new lines")


WORKSPACE = """
    from pathlib import Path
    from orchestrator import RunRequest, pipeline, sensor, step

    @step
    def load() -> None: ...

    @pipeline
    def loading():
        load()

    @sensor(pipeline=loading, default_on=True)
    def new_files(context):
        for path in sorted(Path("inbox").glob("*.csv")):
            yield RunRequest(run_key=path.name)

    @sensor(pipeline=loading, default_on=True)
    def broken(context):
        raise ConnectionError("nobody answers")
"""


def test_each_look_leaves_a_tick_and_one_that_fails_disturbs_nobody(bench):
    """It runs in a process of its own, which is ended after `timeout` seconds (60). One that fails is asked ever less
    often until it works again. `sensor ticks --tail` is a view to leave open. (`daemon tick` makes one pass; usually
    `orchestrator daemon start --detach` looks every `interval` seconds, 15 by default.)"""
    bench.write(WORKSPACE)
    (bench.path / "inbox").mkdir()
    (bench.path / "inbox" / "a.csv").touch()
    bench("daemon", "tick").ok()
    ticks = {tick["name"]: tick for tick in bench.json("sensor", "ticks")}
    assert ticks["main/new_files"]["status"] == "SUCCESS"
    assert ticks["main/new_files"]["run_keys"] == ["a.csv"]
    assert ticks["main/broken"]["status"] == "FAILURE"
    assert ticks["main/broken"]["error"].endswith("ConnectionError: nobody answers")
    assert [run["status"] for run in bench.json("runs", "list")] == ["SUCCESS"]
