"""`orchestrator run --rerun` and `--from-failure`: what runs again, on which values and with which configuration."""

import json

import pytest

PIPELINES = """
    import os
    from dataclasses import dataclass
    from orchestrator import DynamicOut, DynamicOutput, Mode, Preset, pipeline, resource, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    @dataclass
    class Two:
        a: int = 1
        b: int = 1

    @resource
    def shop(config: Two):
        return config.a

    @step(outputs=DynamicOut(str))
    def files():
        note("files")
        for key in ("x", "y"):
            yield DynamicOutput(key, key=key)

    @step(resources={"shop"})
    def load(context, name: str, config: Two) -> str:
        note(f"load:{name}:{config.a}:{config.b}:{context.resources.shop}")
        return name * config.a

    @step
    def sort(row: str) -> str:
        note(f"sort:{row}")
        return row

    @step
    def publish(rows: list) -> str:
        note(f"publish:{'+'.join(rows)}")
        if os.path.exists("broken"):
            raise ValueError("it is broken")
        return "done"

    @pipeline(
        modes=[Mode("dev", resources={"shop": shop}), Mode("fake", resources={"shop": 7})],
        presets=[Preset("six", mode="dev", config={"steps": {"load": {"config": {"a": 6}}}})],
    )
    def shops():
        publish(files().map(load).map(sort).collect())

    @step(version="1")
    def stored() -> int:
        note("stored")
        return 3

    @step
    def shown(value: int) -> None:
        note(f"shown:{value}")
        if os.path.exists("broken"):
            raise ValueError("it is broken")

    @pipeline
    def versions():
        shown(stored())
"""


@pytest.fixture
def shops(bench):
    return bench.write(PIPELINES)


def ledger(bench):
    """What steps have noted since the last look; those of one kind in the order of their names."""
    lines = sorted(bench.ledger())
    (bench.path / "ledger").unlink(missing_ok=True)
    return lines


@pytest.mark.long
def test_one_key_of_a_fan_out_runs_again_with_all_that_needs_it(shops):
    shops("run", "shops", "--mode", "dev").ok()
    assert ledger(shops) == ["files", "load:x:1:1:1", "load:y:1:1:1", "publish:x+y", "sort:x", "sort:y"]
    shops("run", "--rerun", "last", "--select", "load[y]*").ok()
    assert ledger(shops) == ["load:y:1:1:1", "publish:x+y", "sort:y"]
    shops("run", "--rerun", "last").ok()  # what was selected is inherited
    assert ledger(shops) == ["load:y:1:1:1", "publish:x+y", "sort:y"]
    refused = shops("run", "--rerun", "last", "--select", "load[z]")
    assert refused.code == 4
    assert "There is no step 'load[z]' in run" in refused.err
    assert "Did you mean load[y] or load[x]?" in refused.err
    assert shops("run", "shops", "--mode", "dev", "--select", "load[y]").code == 3


def test_what_failed_runs_again_unless_its_configuration_was_changed(shops):
    (shops.path / "broken").touch()
    assert shops("run", "shops", "--mode", "dev", "--set", "steps.load.config.a=2").code == 1
    assert ledger(shops) == ["files", "load:x:2:1:1", "load:y:2:1:1", "publish:xx+yy", "sort:xx", "sort:yy"]
    assert shops("run", "--from-failure", "last", "--set", "resources.shop.config.a=5").code == 1
    assert ledger(shops) == ["publish:xx+yy"]
    (shops.path / "broken").unlink()
    shops("run", "--from-failure", "last", "--set", "steps.load.config.b=3").ok()
    assert ledger(shops) == ["load:x:2:3:5", "load:y:2:3:5", "publish:xx+yy", "sort:xx", "sort:yy"]


@pytest.mark.long
def test_a_rerun_inherits_what_is_not_said_again(shops):
    (shops.path / "file.yaml").write_text("steps: {load: {config: {a: 8}}}")
    given = ["steps.load.config.a=2", "steps.load.config.b=3", "resources.shop.config.a=4"]
    sets = [word for one in given for word in ("--set", one)]
    parent = shops.json("run", "shops", "--mode", "dev", "--tag", "who=me", *sets)["run_id"]
    for arguments, load in [
        ([], "load:x:2:3:4"),
        (["--set", "steps.load.config.b=9"], "load:x:2:9:4"),
        (["--config", "file.yaml"], "load:x:8:3:4"),
        (["--preset", "six"], "load:x:6:1:1"),
        (["--mode", "fake"], "load:x:2:3:7"),
    ]:
        ledger(shops)
        shown = shops.json("run", "--rerun", parent, *arguments)
        assert load in ledger(shops)
        assert shown["tags"] == {"who": "me"}


STORES = """
    from pathlib import Path
    from orchestrator import IOManager, Mode, io_manager, pipeline, step
    from dataclasses import dataclass
    import json

    @dataclass
    class Place:
        path: str = "a"

    def note(what):
        with open("ledger", "a") as ledger:
            ledger.write(what + "\\n")

    class Folder(IOManager):
        def __init__(self, path):
            self.path = Path(path)

        def handle_output(self, context, value):
            self.path.mkdir(exist_ok=True)
            (self.path / context.step).write_text(json.dumps(value))

        def load_input(self, context):
            return json.loads((self.path / context.upstream_output.step).read_text())

    @io_manager
    def folder(config: Place):
        return Folder(config.path)

    @io_manager
    def other():
        return Folder("b")

    @step
    def first() -> int:
        note("first")
        return 1

    @step(io_manager="kept")
    def apart() -> int:
        note("apart")
        return 2

    @step
    def last(a: int, b: int) -> None:
        note("last")
        if Path("broken").exists():
            raise ValueError("broken")

    @pipeline(modes=[
        Mode("one", resources={"io_manager": folder, "kept": folder}),
        Mode("two", resources={"io_manager": other, "kept": folder}),
    ])
    def stores():
        last(first(), apart())
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("arguments", "again"),
    [
        pytest.param([], ["last"], id="the same mode"),
        pytest.param(["--mode", "two"], ["first", "last"], id="another mode stores one of them elsewhere"),
        pytest.param(["--set", "resources.kept.config.path=c"], ["apart", "last"], id="another place for the other"),
    ],
)
def test_what_is_stored_elsewhere_now_is_made_again(bench, arguments, again):
    bench.write(STORES)
    (bench.path / "broken").touch()
    assert bench("run", "stores", "--mode", "one").code == 1
    (bench.path / "broken").unlink()
    (bench.path / "ledger").unlink()
    bench("run", "--from-failure", "last", *arguments).ok()
    assert sorted(bench.ledger()) == again


@pytest.mark.long
def test_a_memoized_value_is_used_from_failure_and_found_without_memoize(shops):
    shops("run", "versions", "--memoize").ok()
    (shops.path / "broken").touch()
    assert shops("run", "versions", "--memoize").code == 1
    (shops.path / "broken").unlink()
    ledger(shops)
    shops("run", "--from-failure", "last").ok()
    assert ledger(shops) == ["shown:3"]
    shops("run", "--rerun", "last", "--select", "shown", "--memoize").ok()
    assert ledger(shops) == ["shown:3"]


def test_a_value_stored_without_its_version_is_found_with_memoize(shops):
    (shops.path / "broken").touch()
    assert shops("run", "versions").code == 1
    (shops.path / "broken").unlink()
    ledger(shops)
    shops("run", "--from-failure", "last", "--memoize").ok()
    assert ledger(shops) == ["shown:3"]


def test_a_run_that_goes_on_has_not_failed_yet(shops):
    shops.write(
        """
        import time
        from pathlib import Path
        from orchestrator import pipeline, step
        @step
        def waits() -> None:
            Path("begun").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        @pipeline
        def slow():
            waits()
        """
    )
    running = shops.start("run", "slow")
    shops.wait_until((shops.path / "begun").exists)
    refused = shops("run", "--from-failure", "last")
    (shops.path / "go").touch()
    assert (refused.code, running.wait()) == (4, 0)
    assert "is not over" in refused.err


def test_a_run_records_its_preset_and_hands_it_on(shops):
    shops("run", "shops", "--preset", "six").ok()
    shops("run", "--rerun", "last").ok()
    records = [json.loads(path.read_text()) for path in (shops.state / "runs").glob("*/run.json")]
    assert [record["preset"] for record in records] == ["six", "six"]
