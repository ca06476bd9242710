"""An asset sensor runs a pipeline when something was materialized, in whatever location."""

from orchestrator import RunRequest, SensorContext, SkipReason, asset_sensor, pipeline, step


@step
def report() -> None: ...


@pipeline
def reporting():
    report()


@asset_sensor(asset="orders", pipeline=reporting)
def on_orders(context, materialization):
    if materialization.metadata["rows"] == 0:
        return SkipReason("no orders")
    return RunRequest(run_key=materialization.id)


class Orders:
    """What the sensor reads of a materialization."""

    def __init__(self, id, rows):
        self.id, self.metadata = id, {"rows": rows}


def test_it_is_asked_about_each_new_materialization():
    """Its id makes a good run key: it is never used twice."""
    assert on_orders(SensorContext(), Orders("m1", rows=3)) == RunRequest(run_key="m1")
    assert on_orders(SensorContext(), Orders("m2", rows=0)) == SkipReason("no orders")


WORKSPACE = """
    from orchestrator import AssetMaterialization, RunRequest, StepContext, asset_sensor, pipeline, step

    @step
    def import_orders(context: StepContext) -> None:
        for day in ("monday", "tuesday"):
            context.log_asset(AssetMaterialization("orders", metadata={"day": day}))

    @pipeline
    def importing():
        import_orders()

    @step
    def report() -> None: ...

    @pipeline
    def reporting():
        report()

    @asset_sensor(asset="orders", pipeline=reporting, start="beginning", default_on=True)
    def newest(context, materialization):
        return RunRequest(materialization.id, tags={"day": materialization.metadata["day"]})

    @asset_sensor(asset="orders", pipeline=reporting, start="beginning", read="every", default_on=True)
    def each(context, materialization):
        return RunRequest(materialization.id, tags={"day": materialization.metadata["day"]})
"""


def test_you_choose_what_counts_when_several_came_between_two_looks(bench):
    """`read="latest"`: only the newest of them; `read="every"`: each, in order, a hundred at a time. `start="now"`:
    what comes after it was turned on; `start="beginning"`: what was there before as well. With several assets,
    `asset=["orders", "customers"]`, any of them will do; with `require="all"` it waits until all of them are new, and
    is given a dict of materializations by asset name."""
    bench.write(WORKSPACE)
    bench("run", "importing").ok()
    bench("daemon", "tick").ok()
    reports = bench.json("runs", "list", "--pipeline", "reporting")
    by_sensor = {
        name: [run for run in reports if run["trigger"]["name"] == f"main/{name}"] for name in ("newest", "each")
    }
    assert [run["tags"]["day"] for run in by_sensor["newest"]] == ["tuesday"]
    assert sorted(run["tags"]["day"] for run in by_sensor["each"]) == ["monday", "tuesday"]
