"""Sensors of every kind as they are written down, and what they may ask for."""

import os

import msgspec
import pytest

from orchestrator import (
    AssetKey,
    Preset,
    RunRequest,
    SensorContext,
    SkipReason,
    asset_sensor,
    pipeline,
    run_status_sensor,
    sensor,
)
from orchestrator.definitions.requests import requests_of
from tests.definitions.refusals import Refusals, check_refusal
from tests.definitions.short import one, refusal

DURATION = "Write seconds, text like '90s', '15m', '24h', or a timedelta."


@pipeline
def working():
    one()


case = Refusals()


@case("Sensor 'watching'", "interval=0 must be at least 0.01 seconds.")
def no_interval():
    @sensor(interval=0)  # here
    def watching(context): ...


@case("Sensor 'watching'", "interval='often' is not a duration.", DURATION)
def an_interval_in_words():
    @sensor(interval="often")  # here
    def watching(context): ...


@case("Sensor 'watching'", "timeout=-1 must be at least 0.01 seconds.")
def a_negative_timeout():
    @sensor(timeout=-1)  # here
    def watching(context): ...


@case("Sensor 'watching'", "mode=5 is not text.")
def a_mode_that_is_a_number():
    @sensor(pipeline=working, mode=5)  # here
    def watching(context): ...


@case("Sensor 'watching'", "its function takes (context, more).", "Write `def watching(context):`.")
def a_parameter_too_many():
    @sensor()  # here
    def watching(context, more): ...


@case("Sensor 'watching'", "its function takes (context).", "Write `def watching(context, materialization):`.")
def an_asset_sensor_without_its_materialization():
    @asset_sensor(asset="orders")  # here
    def watching(context): ...


@case("Sensor 'watching'", "it names no asset.")
def an_asset_sensor_without_assets():
    @asset_sensor(asset=[])  # here
    def watching(context, materialization): ...


@case(
    "Sensor 'watching'",
    "asset=5 names no asset: An asset key is a string or a list of non-empty strings, not 5.",
)
def an_asset_that_is_a_number():
    @asset_sensor(asset=5)  # here
    def watching(context, materialization): ...


@case("Sensor 'watching'", "read='evry' is not a choice.", "Did you mean every?")
def another_way_to_read():
    @asset_sensor(asset="orders", read="evry")  # here
    def watching(context, materialization): ...


@case("Sensor 'watching'", "start='later' is not a choice.", "There is: now, beginning.")
def another_start():
    @asset_sensor(asset="orders", start="later")  # here
    def watching(context, materialization): ...


@case("Sensor 'watching'", "require='some' is not a choice.", "There is: any, all.")
def another_requirement():
    @asset_sensor(asset=["a", "b"], require="some")  # here
    def watching(context, materialization): ...


@case("Sensor 'alert'", "its function takes (context).", "Write `def alert(context, run):`.")
def an_alert_without_its_run():
    @run_status_sensor()  # here
    def alert(context): ...


@case("Sensor 'alert'", "status='FAILD' ends no run.", "Did you mean FAILURE?")
def a_status_that_is_none():
    @run_status_sensor(status="FAILD")  # here
    def alert(context, run): ...


@case("Sensor 'alert'", "status='STARTED' ends no run.", "There is: CANCELED, FAILURE, SUCCESS.")
def a_status_that_ends_nothing():
    @run_status_sensor(status="STARTED")  # here
    def alert(context, run): ...


@case("Sensor 'alert'", "it names no status.")
def no_status():
    @run_status_sensor(status=[])  # here
    def alert(context, run): ...


@case("Sensor 'alert'", "5 is not a pipeline.", "Give pipelines, or their names.")
def pipelines_that_are_none():
    @run_status_sensor(pipelines=[5])  # here
    def alert(context, run): ...


@pytest.mark.parametrize(("define", "what", "problem", "hint"), case.cases)
def test_what_can_never_work_is_refused_with_its_name_and_line(define, what, problem, hint):
    check_refusal(define, what, problem, hint)


@pytest.mark.parametrize("decorator", [sensor, asset_sensor, run_status_sensor])
def test_options_are_given_by_name_and_in_parentheses(decorator):
    error = refusal(decorator, lambda context: None)
    assert error.hint.startswith(f"Write @{decorator.__name__}(")


def test_an_option_that_is_not_there_is_nearly_found():
    assert refusal(sensor, intervall=5).hint == "Did you mean interval?"
    assert refusal(asset_sensor, asset="a", requires="all").hint


def test_what_is_declared_and_what_is_not():
    @sensor(pipeline=working)
    def watching(context):
        """Looks at the inbox."""

    info = watching.info
    assert (info.name, info.pipeline, info.interval, info.timeout) == ("watching", "working", 15, 60)
    assert (info.default_on, info.description) == (False, "Looks at the inbox.")

    @sensor(interval="2m", timeout="1.5s", default_on=True, tags={"a": "b"})
    def other(): ...

    assert (other.info.interval, other.info.timeout, other.info.tags) == (120, 1.5, {"a": "b"})
    assert other.info.pipeline is None


@pytest.mark.parametrize(
    ("asset", "parts"),
    [
        ("orders", (("orders",),)),
        (AssetKey(["raw", "orders"]), (("raw", "orders"),)),
        (["orders", "customers"], (("orders",), ("customers",))),
    ],
)
def test_assets_are_named_as_everywhere(asset, parts):
    @asset_sensor(asset=asset)
    def watching(context, materialization): ...

    assert watching.info.assets == parts


@pytest.mark.parametrize(("pipelines", "names"), [((), ()), ([working], ("working",)), ("other", ("other",))])
def test_an_alert_is_for_all_pipelines_or_for_some(pipelines, names):
    @run_status_sensor(status=["FAILURE", "CANCELED"], pipelines=pipelines)
    def alert(context, run): ...

    assert alert.info.pipelines == names
    assert [str(status) for status in alert.info.statuses] == ["FAILURE", "CANCELED"]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: RunRequest(""), id="an-empty-key"),
        pytest.param(lambda: RunRequest("k" * 1001), id="a-long-key"),
        pytest.param(lambda: RunRequest("a\nb"), id="a-key-of-two-lines"),
        pytest.param(lambda: RunRequest(5), id="a-number-as-key"),
        pytest.param(lambda: RunRequest(config=[1]), id="config-that-is-a-list"),
        pytest.param(lambda: RunRequest(tags={"a": 1}), id="a-tag-that-is-a-number"),
        pytest.param(lambda: RunRequest(tags=["a"]), id="tags-that-are-a-list"),
        pytest.param(lambda: RunRequest(tags={"orchestrator/x": "1"}), id="a-tag-of-ours"),
        pytest.param(lambda: RunRequest(pipeline=5), id="a-pipeline-that-is-a-number"),
        pytest.param(lambda: SkipReason(5), id="a-reason-that-is-a-number"),
    ],
)
def test_a_request_that_makes_no_sense_fails_where_it_is_made(make):
    with pytest.raises((TypeError, ValueError)):
        make()


def test_a_cursor_is_a_text_of_bounded_length():
    context = SensorContext(cursor="a")
    context.update_cursor("b")
    assert context.cursor == "b"
    context.update_cursor(None)
    assert context.cursor is None
    with pytest.raises(TypeError, match="a cursor is a text, got int"):
        context.update_cursor(5)
    with pytest.raises(ValueError, match="1048576"):
        context.update_cursor("c" * (1 << 20) + "c")


def test_it_is_still_a_function():
    @sensor(pipeline=working)
    def watching(context):
        yield RunRequest(context.cursor)

    assert list(watching(SensorContext(cursor="c"))) == [RunRequest("c")]


@pytest.mark.parametrize("options", [{"tags": {"a": 1}}, {"config": 3}, {"mode": 4}, {"tags": {"orchestrator/x": "y"}}])
def test_a_wrong_request_names_its_run_key(options):
    with pytest.raises((TypeError, ValueError), match=r"in the RunRequest with run_key 'b\.csv'"):
        RunRequest(run_key="b.csv", **options)


def test_a_file_name_in_another_encoding_is_a_run_key_and_reaches_the_configuration():
    name = os.fsdecode(b"caf\xe9.csv")
    request = RunRequest(run_key=name, config={"steps": {"load": {"config": {"paths": [f"inbox/{name}"]}}}})
    assert request.run_key == "caf\\udce9.csv"
    assert request.config == {"steps": {"load": {"config": {"paths": ["inbox/caf\\udce9.csv"]}}}}
    requests, _ = requests_of([request, RunRequest(run_key="a.csv")], who="it", none_means_run=False)
    assert [msgspec.json.decode(msgspec.json.encode(one))["run_key"] for one in requests] == [
        "caf\\udce9.csv",
        "a.csv",
    ]


def one_dict_for_all():
    """What user code does with one dict, in each way in which it can answer."""
    config, tags = {"steps": {"load": {"config": {"path": "", "parts": []}}}}, {"file": ""}
    entry = config["steps"]["load"]["config"]
    for name in "ab":
        entry["path"] = tags["file"] = name
        entry["parts"].append(name)
        yield config, tags


@pytest.mark.parametrize("collect", [iter, list], ids=["a generator", "a list"])
def test_a_dict_that_is_filled_again_keeps_no_request_from_its_own_values(collect):
    made = collect(RunRequest(tags["file"], config=config, tags=tags) for config, tags in one_dict_for_all())
    requests, _ = requests_of(made, who="it", none_means_run=False)
    configs = [request.config["steps"]["load"]["config"] for request in requests]
    assert [(one["path"], one["parts"]) for one in configs] == [("a", ["a"]), ("b", ["a", "b"])]
    assert [request.tags for request in requests] == [{"file": "a"}, {"file": "b"}]


def test_presets_that_are_made_from_one_dict_keep_their_own_values():
    presets = [Preset(tags["file"], config=config, tags=tags) for config, tags in one_dict_for_all()]
    assert [one.config["steps"]["load"]["config"]["path"] for one in presets] == ["a", "b"]
    assert [one.tags for one in presets] == [{"file": "a"}, {"file": "b"}]
