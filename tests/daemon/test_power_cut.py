"""A power cut takes away what the kernel had not written yet: files can be gone that the index already knows."""

import shutil

from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir


def test_a_run_whose_files_went_with_the_power_is_run_from_what_the_queue_remembers(daemon):
    daemon.drop("a")
    daemon.start(ORCHESTRATOR_CRASH_AT="queue.created")
    daemon.process.wait(timeout=20)
    (run_dir,) = [path for path in (daemon.bench.state / "runs").iterdir() if not path.name.startswith(".")]
    shutil.rmtree(run_dir)
    with open_store(StateDir(daemon.bench.state), ingest=False) as store:
        store.database.execute("UPDATE runs SET status = 'STARTED'")
    daemon.start().until_ledger("a")
    daemon.until(lambda: daemon.bench.json("runs", "show", "last")["status"] == "SUCCESS", "the end of the run")
    daemon.stop()
    assert daemon.bench.ledger() == ["a"]
    assert [run["run_id"] for run in daemon.bench.json("runs", "list")] == [run_dir.name]
    daemon.bench.here("state", "check").ok()
