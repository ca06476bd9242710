"""Everything together, as somebody who knows the whole model would write it."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from orchestrator import (
    AssetMaterialization,
    HookContext,
    Mode,
    Out,
    Output,
    Preset,
    RetryPolicy,
    StepContext,
    failure_hook,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    resource,
    step,
)
from orchestrator.model.states import StepState


@dataclass
class TopN:
    n: int = 10


@dataclass
class WarehouseConfig:
    url: str


class Warehouse:
    def __init__(self, url):
        self.url, self.saved, self.closed = url, {}, False


@resource
def warehouse(context, config: WarehouseConfig):
    made = Warehouse(config.url)
    yield made
    made.closed = True


notified = []


@failure_hook
def notify(context: HookContext):
    notified.append((context.step, str(context.error)))


@step
def make_people() -> pa.Table:
    return pa.table({"name": ["Ada", "Grace", "Alan"], "age": [36, 85, None]})


@step(outputs={"good": Out(pa.Table), "bad": Out(pa.Table, optional=True)})
def split(people: pa.Table):
    known = pc.is_valid(people["age"])
    yield Output(people.filter(known), "good")
    if not pc.all(known).as_py():
        yield Output(people.filter(pc.invert(known)), "bad")


@step(
    retry=RetryPolicy(max_retries=3, delay=0.01, backoff="exponential", jitter=True),
    resources={"warehouse"},
    tags={"team": "sales"},
    timeout=600,
    io_manager="parquet",
    version="1",
)
def top_people(context: StepContext, people: pa.Table, config: TopN) -> pa.Table:
    context.log.info("keeping %d", config.n)
    if context.attempt == 1:
        raise ConnectionError("the warehouse is busy")
    top = people.sort_by([("age", "descending")]).slice(0, config.n)
    context.log_asset(AssetMaterialization("top_people", metadata={"rows": top.num_rows}))
    return top


@step
def cleanup() -> None: ...


@pytest.fixture
def people(tmp_path):
    @pipeline(
        modes=[
            Mode("dev", resources={"parquet": memory_io_manager, "warehouse": Warehouse("none")}),
            Mode(
                "prod",
                resources={"parquet": parquet_io_manager(tmp_path), "warehouse": warehouse},
                executor="kubernetes",
            ),
        ],
        presets=[
            Preset(
                "small",
                mode="prod",
                config={
                    "steps": {"top_people": {"config": {"n": 1}}},
                    "resources": {"warehouse": {"config": {"url": "db://"}}},
                },
            )
        ],
        hooks={notify},
        tags={"owner": "sales"},
    )
    def people():
        good, bad = split(make_people())
        top_people(good)
        cleanup(after=[good, bad])

    return people


def test_it_runs_in_development(people):
    result = people.execute_in_process(mode="dev")
    assert result.output("top_people")["name"].to_pylist() == ["Grace", "Ada"]
    assert result.output("split", "bad")["name"].to_pylist() == ["Alan"]
    assert result.state("cleanup") is StepState.SUCCESS
    assert result.events_of("top_people").count("attempt_started") == 2
    assert notified == []


def test_it_runs_with_the_preset_for_production(people, tmp_path):
    result = people.execute_in_process(preset="small")
    assert result.output("top_people")["name"].to_pylist() == ["Grace"]
    assert (tmp_path / result.run_id / "top_people" / "result.parquet").is_file()
    assets = [event.asset for event in result.events if type(event).__name__ == "AssetMaterialized"]
    assert assets == [("top_people",), ("top_people",)]
