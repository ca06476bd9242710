"""An alert is told of runs that have ended."""

WORKSPACE = """
    from pathlib import Path
    from orchestrator import RunEnding, SensorContext, pipeline, run_status_sensor, step

    @step
    def work() -> None:
        raise ValueError("the disk is full")

    @pipeline(tags={"owner": "ada"})
    def working():
        work()

    @run_status_sensor(status="FAILURE", start="beginning", default_on=True)
    def alert(context: SensorContext, run: RunEnding):
        reasons = ", ".join(f"{step}: {error}" for step, error in run.failed_steps.items())
        with Path("mail").open("a") as mail:
            mail.write(f"To {run.tags['owner']}: {run.pipeline} failed ({run.trigger.kind}). {reasons}\\n")
"""


def test_each_run_is_told(bench):
    """Of whatever started it: a schedule, a sensor, or a person at a terminal. `status` is FAILURE, SUCCESS, CANCELED
    or a list of those; `pipelines=[...]` narrows it. An alert that raises, hangs or dies is tried again: see
    `docs/alerts.md`. `run.trigger` says why the run existed: its kind, the name of the schedule or sensor, run_key,
    scheduled_at. It may give a RunRequest, if it names a pipeline; of runs that it has asked for itself, or led to by
    way of other alerts, it is not told: two that react to each other come to an end."""
    bench.write(WORKSPACE)
    assert bench("run", "working").code == 1
    bench("daemon", "tick").ok()
    bench("daemon", "tick").ok()
    mail = (bench.path / "mail").read_text()
    assert mail == "To ada: working failed (manual). work: ValueError: the disk is full\n"
    tick = bench.json("sensor", "ticks", "--status", "success")[0]
    assert (tick["name"], tick["kind"], tick["run_ids"]) == ("main/alert", "run_status_sensor", [])
