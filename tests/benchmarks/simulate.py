"""The row of `orchestrator simulate`."""

from tests.benchmarks import workspaces
from tests.benchmarks.measure import ORCHESTRATOR, Row, one_run

# Each occurrence is asked for and answers with a configuration of its own, as schedules of partitions do.
SCHEDULES = """
    from dataclasses import dataclass
    import duckdb
    import pyarrow
    from orchestrator import RunRequest, pipeline, schedule, step

    @dataclass
    class Hour:
        hour: str

    @step
    def load(config: Hour) -> None:
        pass

    @pipeline
    def hourly():
        load()

    def every_hour(number):
        @schedule(name=f"hourly{number}", cron=f"{number % 60} * * * *", timezone="Europe/Berlin", pipeline=hourly,
                  default_on=True)
        def made(context):
            config = {"steps": {"load": {"config": {"hour": context.scheduled_at.isoformat()}}}}
            return RunRequest(config=config, tags={"day": f"{context.scheduled_at:%Y-%m-%d}"})
        return made

    globals().update({f"schedule{number}": every_hour(number) for number in range(100)})
"""


def rows(scratch, _peers, size):
    """(name, function that measures it), in the order of the table."""
    return [("simulate a year", lambda: a_year(scratch, size))]


def a_year(scratch, size):
    path = workspaces.make(scratch / "simulate", SCHEDULES)
    took = one_run([ORCHESTRATOR, "simulate", "--from", "2026-01-01", "--to", size("+365d", "+1d")], cwd=path)
    yield Row("`simulate` a year of 100 hourly schedules", took, "s", 10.0, yardstick="loop")
