"""Steps can say what they wrote, and whether it is as it should be."""

from datetime import date

from orchestrator import AssetKey, AssetMaterialization, Expectation, Metadata, Output, StepContext, pipeline, step


@step
def load_orders(context: StepContext) -> int:
    rows = 3
    context.log_expectation(Expectation(rows > 0, "there are orders"))
    context.log_asset(
        AssetMaterialization(
            "raw/orders",
            description="All orders of a day.",
            metadata={
                "rows": rows,
                "day": date(2024, 1, 1),
                "dashboard": Metadata.url("https://example.org/orders"),
                "first": Metadata.table([{"id": 1, "amount": 9.5}]),
            },
            partition="2024-01-01",
        )
    )
    return rows


@pipeline
def orders():
    load_orders()


def events(result, kind):
    return [event for event in result.events if type(event).__name__ == kind]


def test_an_asset_is_anything_that_lasts_longer_than_a_run():
    """A table, a file, a model, a dashboard. A step that wrote one says so: which, with what metadata, and for which
    partition. The catalog (`orchestrator asset list`) remembers each materialization and the run that made it; other
    pipelines can wait for it."""
    (event,) = events(orders.execute_in_process(), "AssetMaterialized")
    assert event.asset == ("raw", "orders")
    assert event.partition == "2024-01-01"
    assert event.metadata["rows"] == 3


def test_the_name_of_an_asset_is_a_path():
    """Write it with slashes, with dots, or as a list: it is the same asset."""
    assert AssetKey("raw/orders") == AssetKey("raw.orders") == AssetKey(["raw", "orders"])


def test_an_expectation_that_does_not_hold_is_recorded_and_fails_nothing():
    """To fail the step as well, raise `Failure`."""

    @step
    def checks(context: StepContext) -> None:
        context.log_expectation(Expectation(False, "no duplicates", metadata={"duplicates": 2}))

    @pipeline
    def checked():
        checks()

    result = checked.execute_in_process()
    assert result.success
    (event,) = events(result, "ExpectationChecked")
    assert (event.success, event.label, event.metadata) == (False, "no duplicates", {"duplicates": 2})


def test_facts_can_be_yielded_among_the_outputs():
    """A step that yields its outputs can yield what it has to say as well, and needs no context for it."""

    @step
    def writes():
        yield AssetMaterialization("report")
        yield Output("done")
        yield Expectation(True, "it was written")

    @pipeline
    def written():
        writes()

    result = written.execute_in_process()
    assert result.output("writes") == "done"
    assert len(events(result, "AssetMaterialized")) == len(events(result, "ExpectationChecked")) == 1
