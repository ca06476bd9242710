"""Asset sensors: what they are shown of what was materialized, from when on, in which order, and never twice."""

from itertools import chain

import pytest

HEAD = """
    import os
    from dataclasses import dataclass
    from orchestrator import AssetMaterialization, RunRequest, SkipReason, asset_sensor, pipeline, sensor, step

    @dataclass
    class What:
        what: str = ""

    @step
    def materialize(context, config: What) -> None:
        for name in config.what.split():
            asset, _, n = name.partition(":")
            context.log_asset(AssetMaterialization(asset, metadata={"n": n}))

    @pipeline
    def produce():
        materialize()

    @step
    def note(config: What) -> None:
        with open("ledger", "a") as ledger:
            ledger.write(config.what + "\\n")

    @pipeline
    def consume():
        note()

    def config(what):
        return {"steps": {"note": {"config": {"what": what}}}}

    def request(one):
        return RunRequest(one.id, config(f"{'/'.join(one.asset)}:{one.metadata['n']}"))

    @sensor(pipeline=produce, interval=1, default_on=True)
    def orders(context):
        for name in sorted(os.listdir(".")):
            if name.startswith("make-"):
                what = open(name).read()
                yield RunRequest(name, {"steps": {"materialize": {"config": {"what": what}}}})
"""


def it(body="return request(materialization)", asset="a", **options):
    given = "".join(f", {key}={value!r}" for key, value in {"default_on": True, "interval": 10, **options}.items())
    return f"""
    @asset_sensor(asset={asset!r}, pipeline=consume{given})
    def it(context, materialization):
        {body}
"""


class Materials:
    """A daemon's life in which assets are materialized when the test says so."""

    def __init__(self, bench, ticking):
        self.bench, self.ticking = bench, ticking
        self.minute = self.made = 0

    def begin(self, *definitions):
        self.bench.write(HEAD + "".join(definitions))
        # One run at a time: the ledger then has them in the order in which they were asked for.
        settings = (self.bench.path / ".orchestrator.yaml").read_text()
        self.bench.settings(f"{settings}\nrun_queue: {{max_concurrent_runs: 1}}")
        self.ticking.__enter__()
        return self.go_on()

    def go_on(self):
        """Lets a minute pass."""
        self.minute += 1
        self.ticking.at(f"2019-02-27T00:{self.minute:02}:00Z").at(f"2019-02-27T00:{self.minute:02}:01Z")
        return self

    def make(self, what):
        """Materializes assets, in one run, `name:n` each, and lets a minute pass."""
        self.made += 1
        (self.bench.path / f"make-{self.made}").write_text(what)
        return self.go_on()

    @property
    def consumed(self):
        return self.bench.ledger()

    def __getattr__(self, name):
        return getattr(self.ticking, name)


@pytest.fixture
def materials(bench, ticking):
    made = Materials(bench, ticking)
    yield made
    if ticking.daemon is not None:
        ticking.__exit__()


def test_nothing_is_shown_before_something_is_new(materials):
    materials.begin(it()).go_on()
    assert {(str(tick.status), tick.skip_reason) for tick in materials.ticks("it")} == {("SKIPPED", "nothing new")}
    materials.make("b:1")
    assert materials.consumed == []


def test_each_materialization_is_shown_once_and_its_id_is_a_good_key(materials):
    materials.begin(it()).make("a:1").go_on().make("a:2").go_on()
    assert materials.consumed == ["a:1", "a:2"]
    ticks = [tick for tick in materials.ticks("it") if tick.status == "SUCCESS"]
    assert [len(tick.run_keys) for tick in ticks] == [1, 1]


def test_it_looks_as_soon_as_a_run_has_ended_and_writes_no_tick_if_that_is_nothing_to_it(materials):
    materials.begin(it(interval=3600))
    before = len(materials.ticks("it"))
    materials.make("b:1").make("a:1")
    assert materials.consumed == ["a:1"]
    assert materials.outcomes("it")[before:] == ["SUCCESS"]


@pytest.mark.parametrize(
    ("read", "consumed"), [("latest", ["a:3"]), ("every", ["a:1", "a:2", "a:3"])], ids=["latest", "every"]
)
def test_of_several_between_two_looks(materials, read, consumed):
    materials.begin(it(read=read)).make("a:1 a:2 a:3").go_on()
    assert materials.consumed == consumed
    assert len([tick for tick in materials.ticks("it") if tick.status == "SUCCESS"]) == 1


@pytest.mark.parametrize(
    ("start", "consumed"), [("now", ["a:3"]), ("beginning", ["a:1", "a:2", "a:3"])], ids=["now", "beginning"]
)
def test_what_was_there_before_it_was_turned_on(materials, start, consumed):
    materials.begin(it(read="every", start=start, default_on=False)).make("a:1 a:2")
    materials.turn_on("it")
    materials.go_on().make("a:3")
    assert materials.consumed == consumed


def test_from_now_on_means_from_the_moment_it_was_turned_on_even_if_no_daemon_was_there(materials):
    materials.begin(it(default_on=False)).make("a:1").turn_on("it")
    materials.ticking.__exit__()
    materials.bench("run", "produce", "--set", "steps.materialize.config.what=a:2").ok()
    materials.ticking.__enter__()
    materials.go_on()
    assert materials.consumed == ["a:2"]


def test_what_came_while_it_was_off_is_shown_once_it_is_on_again(materials):
    materials.begin(it(read="every")).make("a:1").turn_off("it")
    materials.make("a:2").turn_on("it")
    materials.go_on()
    assert materials.consumed == ["a:1", "a:2"]


def test_hundreds_come_in_batches_and_in_order(materials):
    wanted = [f"a:{n}" for n in range(250)]
    only_count = "print(materialization.metadata['n']); return SkipReason('seen')"
    materials.begin(it(only_count, read="every")).make(" ".join(wanted))
    shown = [tick.output.split() for tick in materials.ticks("it") if tick.output]
    assert [len(batch) for batch in shown] == [100, 100, 50]
    assert list(chain(*shown)) == [str(n) for n in range(250)]


def test_any_of_several_assets_each_in_its_place(materials):
    materials.begin(it(asset=["a", "b"], read="every")).make("b:1 a:2 c:9 b:3")
    assert sorted(materials.consumed) == ["a:2", "b:1", "b:3"]


def test_no_asset_runs_ahead_of_another(materials):
    names = " ".join([f"a:{n}" for n in range(150)] + ["b:999"])
    shown = "print(materialization.metadata['n']); return SkipReason('seen')"
    materials.begin(it(shown, asset=["a", "b"], read="every")).make(names)
    printed = [tick.output.split() for tick in materials.ticks("it") if tick.output]
    assert [(len(batch), batch[-1]) for batch in printed] == [(100, "99"), (51, "999")]


def test_all_of_several_assets_are_waited_for(materials):
    both = "return RunRequest(config=config('+'.join(f'{k}:{v.metadata[\"n\"]}' for k, v in materialization.items())))"
    materials.begin(it(both, asset=["a", "b"], require="all")).make("a:1").make("a:2")
    assert materials.consumed == []
    assert materials.ticks("it")[-1].skip_reason == "nothing new of b"
    materials.make("b:3")
    assert materials.consumed == ["a:2+b:3"]
    materials.make("b:4").make("a:5")
    assert materials.consumed == ["a:2+b:3", "b:4+a:5"]


def test_an_evaluation_that_fails_is_shown_the_same_again(materials):
    materials.begin(it("return request(materialization) if os.path.exists('calm') else 1 / 0")).make("a:1")
    assert materials.outcomes("it")[-1] == "FAILURE"
    (materials.bench.path / "calm").touch()
    materials.go_on()
    assert materials.consumed == ["a:1"]


@pytest.mark.long
@pytest.mark.parametrize("how", ["raise OSError('down')", "os._exit(3)", "import time; time.sleep(60)"])
@pytest.mark.parametrize(
    ("read", "consumed"), [("every", ["a:1", "a:2", "a:3", "a:4"]), ("latest", ["a:3", "a:4"])], ids=["every", "latest"]
)
def test_whatever_an_evaluation_fails_of_and_whoever_dies_no_materialization_is_lost(materials, how, read, consumed):
    body = f"""
        open("attempts", "a").write(f"{{context.attempt}} ")
        if os.path.exists("down"): {how}
        return request(materialization)"""
    materials.begin(it(body, read=read, timeout=0.5))
    (materials.bench.path / "down").touch()
    materials.make("a:1 a:2").make("a:3")
    assert materials.consumed == []
    assert materials.one("it").failures >= 2
    materials.ticking.__exit__()
    materials.ticking.__enter__()
    (materials.bench.path / "down").unlink()
    materials.make("a:4").go_on()
    assert materials.consumed == consumed
    assert (materials.bench.path / "attempts").read_text().startswith("1 2 ")


def test_a_cursor_that_nobody_can_read_begins_anew_and_disturbs_nobody(materials):
    materials.begin(it(read="every")).make("a:1")
    materials.set_cursor("it", '{"a": 0}')
    materials.go_on()
    assert materials.consumed == ["a:1"], "it is shown again, and its key is used already"
    with pytest.raises(Exception, match="cannot go by the cursor"):
        materials.set_cursor("it", '{"a": "x"}')


def test_a_sensor_can_look_into_the_catalog_by_itself(materials):
    look = """
    @sensor(pipeline=consume, interval=10, default_on=True)
    def looks(context):
        latest = context.assets.latest("a")
        if latest is None:
            return SkipReason("there is none")
        since = [one.materialization.metadata["n"] for one in context.assets.since("a", limit=2)]
        return RunRequest(latest.id, config("+".join(since)))
"""
    materials.begin(look)
    assert materials.ticks("looks")[0].skip_reason == "there is none"
    materials.make("a:1 a:2 a:3").go_on()
    assert materials.consumed == ["2+3"]


def test_an_asset_of_another_location(materials):
    materials.bench.settings("locations: [{name: main, file: pipelines.py}, {name: other, file: other.py}]")
    materials.bench.write(HEAD.replace("default_on=True", "default_on=False") + it(), file="other.py")
    materials.begin().make("a:1")
    assert materials.consumed == ["a:1"]
    assert [run.trigger.name for run in materials.runs() if run.pipeline == "consume"] == ["other/it"]
