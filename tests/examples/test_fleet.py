"""A step for each aircraft: what the steps say of single ones, of all together, and a small fleet from a shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from fleet.pipelines import fleet, habits

from orchestrator import StepContext

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_a_departure_counts_by_the_one_before_it():
    one = habits(StepContext(mapping_key="N1"), [45, 60, 0, 5])
    assert one == {"tailnum": "N1", "flights": 4, "after_late": [60, 0], "otherwise": [5]}


def test_an_aircraft_that_left_late_leaves_late_again():
    result = fleet.execute_in_process()
    assert result.output("conclude") == (
        "2000 aircraft. After a departure more than 30 minutes late, the next one is 27 minutes late; otherwise 15."
    )


def test_a_small_fleet_runs_with_a_process_for_each_step(bench):
    bench.settings(f"locations: [{{name: fleet, module: fleet.pipelines, working_dir: {EXAMPLES}}}]")
    run = bench.json("run", "fleet", "--set", "steps.aircraft.config.aircraft=20")
    assert run["status"] == "SUCCESS"
    assert len(run["steps"]) == 22
