"""A definition that cannot be right breaks alone: the others in its file are loaded, run and asked."""

import textwrap

import pytest

from orchestrator.errors import DefinitionError

GOOD = """
    from pathlib import Path
    from orchestrator import (
        Mode, Pod, Preset, RetryPolicy, asset_sensor, failure_hook, io_manager, pipeline, resource, run_status_sensor,
        schedule, sensor, step,
    )

    @step
    def work() -> None:
        Path("worked").touch()

    @pipeline
    def good():
        work()

    @schedule(cron="0 0 * * *", pipeline=good)
    def nightly(context): ...
"""

# What is wrong -> (the kind and name of the broken definition, what is said of it).
WRONG = {
    '@schedule(cron="61 * * * *", pipeline=good)\ndef cron(context): ...': ("schedule cron", "not a valid cron"),
    "@schedule(pipeline=good)\ndef no_cron(context): ...": ("schedule no_cron", "it has no cron expression"),
    '@schedule(crn="0 0 * * *", pipeline=good)\ndef typo(context): ...': ("schedule typo", "there is no option 'crn'"),
    '@schedule("0 0 * * *")\ndef bare(context): ...': ("schedule bare", "its options are given by name"),
    '@schedule(cron="0 0 * * *", pipeline="nope")\ndef lost(context): ...': ("schedule lost", "no pipeline 'nope'"),
    '@schedule(cron="0 0 * * *", pipeline=good, mode="m")\ndef mode(context): ...': ("schedule mode", "no mode 'm'"),
    '@sensor(pipeline=good, interval="5x")\ndef often(context): ...': (
        "sensor often",
        "interval='5x' is not a duration",
    ),
    "@sensor(pipeline=good)\ndef many(a, b, c): ...": ("sensor many", "its function takes (a, b, c)"),
    "@sensor(pipeline=good)\nasync def waits(context): ...": ("sensor waits", "is async"),
    "@asset_sensor(pipeline=good)\ndef stock(context, m): ...": ("sensor stock", "it names no asset"),
    '@run_status_sensor(status="FAILUR")\ndef alert(context, run): ...': ("sensor alert", "ends no run"),
    "@pipeline\ndef empty(): ...": ("pipeline empty", "it has no steps"),
    "@pipeline\ndef misspelled():\n    wrok()": ("pipeline misspelled", "NameError: name 'wrok' is not defined, line"),
    "@pipeline\ndef takes():\n    work(3)": ("pipeline takes", "it takes no inputs and is given 1"),
    '@pipeline(presets=[Preset("p", config={"steps": {"wrk": {}}})])\ndef preset():\n    work()': (
        "pipeline preset",
        "preset 'p' can never be valid",
    ),
    '@pipeline(presets=[Preset("p", mode="m")])\ndef preset_mode():\n    work()': (
        "pipeline preset_mode",
        "names no mode of it",
    ),
    "@step(timeout=-1)\ndef hasty(): ...": ("step hasty", "timeout=-1 is not a duration above 0"),
    "@pipeline\ndef with_hasty():\n    hasty()": ("pipeline with_hasty", "Step 'hasty'"),
    "@pipeline\ndef under_alias():\n    hasty.alias('other')()": ("pipeline under_alias", "Step 'hasty'"),
    "@step(tmeout=1)\ndef typing(): ...": ("step typing", "there is no option 'tmeout'"),
    "@step(retry=RetryPolicy(max_retries=-1))\ndef tries(): ...": ("step tries", "max_retries=-1 must be"),
    "@step(pod=Pod(memory='8 GB'))\ndef eats(): ...": ("step eats", "memory='8 GB' is not a quantity"),
    "@step(retry=3)\ndef thrice(): ...": ("step thrice", "retry=3 is not a RetryPolicy"),
    "@pipeline(mdes=[])\ndef mistyped():\n    work()": ("pipeline mistyped", "there is no option 'mdes'"),
    "@resource\ndef shop(url): ...": ("resource shop", "it takes url"),
    '@pipeline(modes=[Mode("m", resources={"shop": shop})])\ndef of_shop():\n    work()': (
        "pipeline of_shop",
        "Resource 'shop'",
    ),
    "@io_manager(nme='x')\ndef lake(): ...": ("IO manager lake", "there is no option 'nme'"),
    '@pipeline(modes=[Mode("m n")])\ndef of_mode():\n    work()': ("pipeline of_mode", "Mode 'm n'"),
    '@pipeline(modes=Mode("m", resources={"a": lambda: 1}))\ndef of_call():\n    work()': (
        "pipeline of_call",
        "a bare function",
    ),
    '@pipeline(presets=[Preset("p q")])\ndef named():\n    work()': ("pipeline named", "Preset 'p q'"),
    "@failure_hook\ndef tell(): ...": ("hook tell", "a hook takes one parameter"),
    "@pipeline(hooks=[tell])\ndef telling():\n    work()": ("pipeline telling", "Hook 'tell'"),
    "@pipeline\ndef outer():\n    empty()": ("pipeline outer", "Pipeline 'empty'"),
    '@schedule(cron="0 0 * * *", pipeline=empty)\ndef of_empty(context): ...': (
        "schedule of_empty",
        "its pipeline 'empty' is broken",
    ),
    '@schedule(cron="0 0 * * *", pipeline="preset")\ndef of_preset(context): ...': (
        "schedule of_preset",
        "its pipeline 'preset' is broken",
    ),
}


@pytest.mark.long
def test_each_is_told_and_the_good_ones_go_on(bench):
    bench.write(textwrap.dedent(GOOD) + "\n\n".join(WRONG))
    done = bench("config", "check", "--json")
    assert done.code == 3
    (location,) = bench.json("config", "check")["locations"]
    assert (location["loaded"], location["pipelines"]) == (True, ["good"])
    told = {f"{one['kind']} {one['name']}": one["error"] for one in location["broken"]}
    for what, said in WRONG.values():
        assert said in told.pop(what)
    assert not told

    bench("run", "good").ok()
    assert (bench.path / "worked").exists()
    status = bench.json("status")
    assert sum("preset 'p' can never be valid" in problem["sentence"] for problem in status["problems"]) == 1
    assert sum("timeout=-1" in problem["sentence"] for problem in status["problems"]) == 1
    shown = [problem["subject"] for problem in status["problems"] if problem["kind"] == "definition"]
    first_of = {one["error"]: f"main/{one['name']}" for one in reversed(location["broken"])}
    assert shown == [
        f"main/{one['name']}" for one in location["broken"] if first_of[one["error"]] == f"main/{one['name']}"
    ]
    assert len(status["problems"]) >= len({one["error"] for one in location["broken"]})
    for command in (["run", "empty"], ["schedule", "preview", "cron"], ["sensor", "start", "main/often"]):
        refused = bench(*command)
        assert refused.code == 3, refused
    assert "it has no steps" in bench("run", "empty").err
    assert [one["name"] for one in bench.json("schedule", "list")] == ["main/nightly"]


def test_where_nothing_is_right_the_location_is_broken(bench):
    bench.write("from orchestrator import pipeline\n@pipeline\ndef empty(): ...")
    assert "it has no steps" in bench("config", "check").err
    assert bench.json("status")["locations"][0]["loaded"] is False


@pytest.mark.parametrize("source", WRONG)
def test_imported_by_hand_it_raises_at_once_unless_only_its_location_can_know(source):
    scope = {}
    exec(textwrap.dedent(GOOD), scope)
    if any(only in source for only in ("nope", 'mode="m")\ndef mode', "wrk", "of_empty", "of_preset", "outer")):
        return  # what is in the location, or what stands before it, decides
    with pytest.raises((DefinitionError, NameError)):
        exec(source, scope)


@pytest.mark.long
def test_a_broken_schedule_stays_on_and_goes_on_when_it_is_right_again(bench, daemon):
    def save(cron):
        text = (
            GOOD.replace("0 0 * * *", cron) + "    @sensor(pipeline=good, default_on=True)\n    def other(context): ..."
        )
        bench.write(text)

    save("0 0 * * *")
    bench.here("schedule", "start", "nightly").ok()
    daemon.start()
    said = lambda: bench.json("status")  # noqa: E731
    daemon.until(
        lambda: said()["daemon"]["running"] and said()["locations"][0]["loaded"], "a daemon that has loaded it"
    )
    save("61 0 * * *")
    daemon.until(
        lambda: "not a valid minute" in str(bench.json("status")["problems"]), "the broken schedule in the status"
    )
    status = bench.json("status")
    assert status["ok"] is False
    assert {one["name"]: (one["is_on"], one["gone"]) for one in status["automations"]} == {
        "main/nightly": (True, False),
        "main/other": (True, False),
    }
    save("30 0 * * *")
    cron = lambda: bench.json("schedule", "list")[0]["definition"]["cron"]  # noqa: E731
    daemon.until(lambda: cron() == "30 0 * * *", "the new definition")
    daemon.until(lambda: bench.json("status")["ok"], "all is well")
    daemon.until(lambda: "30 0 * * *" in str(bench.json("schedule", "list")), "the mended schedule")
    (schedule,) = bench.json("schedule", "list")
    assert (schedule["on"], schedule["definition"]["cron"]) == (True, "30 0 * * *")
