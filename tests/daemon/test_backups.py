"""A backup made while the daemon works is whole, and going back to it repeats nothing that was done since."""

from orchestrator.catalog.database import Database
from orchestrator.catalog.maintenance import scan
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir


def test_a_backup_beside_a_working_daemon_restores_and_no_key_is_run_a_second_time(bench, daemon):
    daemon.drop("a", "b")
    daemon.start().until_ledger("a", "b")
    daemon.drop("c", "d")
    backup = bench.json("state", "backup")["backup"]
    daemon.drop("e", "f")
    daemon.until_ledger("c", "d", "e", "f")
    assert bench.here("state", "restore", backup, "--yes").code == 7
    daemon.stop()
    bench.here("state", "restore", backup, "--yes").ok()
    bench.here("state", "check").ok()
    with open_store(StateDir(bench.state)) as store:
        keys = {row[0] for row in store.database.rows("SELECT run_key FROM run_keys")}
    assert keys == set("abcdef")
    daemon.drop("g")
    daemon.start().until_ledger("g")
    assert sorted(bench.ledger()) == list("abcdefg")
    daemon.stop()


def test_what_was_forgotten_before_a_rebuild_stays_forgotten(bench, daemon):
    daemon.drop("a", "b")
    daemon.start().until_ledger("a", "b")
    bench.here("sensor", "stop", "inbox").ok()
    bench.here("sensor", "forget", "inbox", "a").ok()
    bench.here("state", "rebuild").ok()
    bench.here("sensor", "start", "inbox").ok()
    daemon.until(lambda: sorted(bench.ledger()) == ["a", "a", "b"], "a to be run again")
    daemon.stop()


def test_a_rebuild_says_of_every_run_what_the_index_said(bench, daemon):
    daemon.drop(*"abcdef")
    daemon.start().until_ledger(*"abcdef")
    daemon.stop()

    def index():
        with open_store(StateDir(bench.state)) as store:
            return {
                table: sorted(map(str, store.database.rows(f"SELECT * FROM {table}")))
                for table in ("runs", "events", "steps", "materializations", "run_keys", "ticks", "automations")
            }

    before = index()
    bench.here("state", "rebuild").ok()
    assert index() == before


def test_a_backup_is_a_database_by_itself(bench, daemon):
    daemon.drop("a")
    daemon.start().until_ledger("a")
    backup = bench.json("state", "backup")["backup"]
    daemon.stop()
    copy = Database(backup)
    counted = scan(copy)
    copy.close()
    assert counted["run_keys"] == counted["runs"] == 1
