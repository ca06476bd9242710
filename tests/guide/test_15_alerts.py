"""An alert is told of runs that have ended."""

WORKSPACE = """
    from pathlib import Path
    from orchestrator import pipeline, run_status_sensor, step

    @step
    def work() -> None:
        raise ValueError("the disk is full")

    @pipeline(tags={"owner": "ada"})
    def working():
        work()

    @run_status_sensor(status="FAILURE", start="beginning", default_on=True)
    def alert(context, run):
        reasons = ", ".join(f"{step}: {error}" for step, error in run.failed_steps.items())
        with Path("mail").open("a") as mail:
            mail.write(f"To {run.tags['owner']}: {run.pipeline} failed. {reasons}\\n")
"""


def test_each_run_is_told_once(bench):
    """Of whatever started it: a schedule, a sensor, or a person at a terminal. `status` is FAILURE, SUCCESS, CANCELED
    or a list of those; `pipelines=[...]` narrows it. A reaction that raises is in `sensor ticks` and not repeated: an
    alert that comes twice is worse than one that is reported missing. It may give a RunRequest, if it names a pipeline;
    of runs that it has asked for itself it is not told."""
    bench.write(WORKSPACE)
    assert bench("run", "working").code == 1
    bench("daemon", "tick").ok()
    bench("daemon", "tick").ok()
    mail = (bench.path / "mail").read_text()
    assert mail == "To ada: working failed. work: ValueError: the disk is full\n"
    tick = bench.json("sensor", "ticks", "--status", "success")[0]
    assert (tick["name"], tick["kind"], tick["run_ids"]) == ("main/alert", "run_status_sensor", [])
