"""A database that is cut or changed anywhere: found, set aside, made again, and what is lost is said."""

import random
import shutil

import msgspec
import pytest

from orchestrator.catalog.maintenance import back_up, scan
from orchestrator.catalog.session import open_store
from orchestrator.clock import now
from orchestrator.errors import SchemaTooNew, StoreDamaged, StoreError
from orchestrator.model.automation import Automation
from orchestrator.model.run import Trigger
from orchestrator.planning.plan import encode_plan
from orchestrator.service.automations import free_key
from orchestrator.service.cancel_run import remove_run
from orchestrator.service.maintenance import check_state, rebuild_index, restore_state
from orchestrator.state_dir import prepare
from tests.catalog.journals import a_finished_run, an_asset, at
from tests.damage.kinds import in_its_place
from tests.engine.lives import plan

RUNS, TICKS = 12, 40
SENSOR = "main/inbox"
PLAN = msgspec.Raw(encode_plan(plan(load={})))


def fill(database):
    """What is only in the database. `padding` spreads a table over more blocks than one."""
    database.execute(
        "INSERT INTO tick_rows (tick_id, automation, kind, status, occurred_at, output)"
        " SELECT 't' || i, ?, 'sensor', 'SKIPPED', TIMESTAMP '2026-01-01', repeat(md5(i::VARCHAR), 50)"
        " FROM range(?) t(i)",
        [SENSOR, TICKS],
    )
    database.execute("INSERT INTO run_keys VALUES (?, 'of a deleted run', 'gone')", [SENSOR])
    database.execute("INSERT INTO wiped_assets VALUES ('[\"nothing\"]', TIMESTAMP '2020-01-01')")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    state = prepare(tmp_path_factory.mktemp("original") / "state")
    for number in range(RUNS):
        trigger = Trigger("sensor", SENSOR, f"key {number}")
        run = a_finished_run(state, an_asset("a", seconds=3 + number % 5), seconds=number, trigger=trigger, plan=PLAN)
        run.steps.mkdir()
    with open_store(state) as store:
        fill(store.database)
        store.database.checkpoint()
    a_finished_run(state, seconds=99, plan=PLAN).steps.mkdir()  # this one is in the write-ahead log only
    with open_store(state):
        pass
    return state


@pytest.fixture
def copy(original, tmp_path):
    numbers = iter(range(100_000))

    def make():
        path = tmp_path / f"copy{next(numbers)}"
        shutil.copytree(original.path, path)
        return prepare(path)

    return make


def log_of(state):
    return state.path / "state.duckdb.wal"


def is_noticed(state):
    try:
        with open_store(state) as store:
            scan(store.database)
    except StoreDamaged:
        return True
    return False


def rows(state, statement):
    with open_store(state) as store:
        return store.database.rows(statement)


def mended(state):
    """The database is made again: every run is there, every key is used, and what is not there was said to be lost."""
    rebuilt = rebuild_index(state)
    assert rebuilt.damaged is not None
    assert rebuilt.damaged.exists() or rebuilt.damaged.with_name(rebuilt.damaged.name + ".wal").exists()
    assert rebuilt.problem
    saved = {one.what: one for one in rebuilt.saved}
    assert rows(state, "SELECT count(*) FROM runs WHERE status = 'SUCCESS'") == [(RUNS + 1,)]
    keys = {key for (key,) in rows(state, "SELECT run_key FROM run_keys")}
    assert keys >= {f"key {number}" for number in range(RUNS)}
    assert "of a deleted run" in keys or saved["used run keys"].lost != 0
    ((ticks,),) = rows(state, "SELECT count(*) FROM ticks")
    assert ticks == saved["ticks"].rows
    assert ticks == TICKS or saved["ticks"].lost != 0
    assert check_state(state) == []
    shutil.rmtree(state.path)
    return ticks


def places(size, short):
    """Where to damage a file: everywhere, or at the headers and at some random places."""
    everywhere = list(range(0, size, 4096))
    if not short:
        return everywhere
    random.seed(7)
    return sorted({*everywhere[:2], *random.sample(everywhere, 3), everywhere[-1]})


LENGTHS = [pytest.param(True, id="some places"), pytest.param(False, id="everywhere", marks=pytest.mark.exhaustive)]


@pytest.mark.long
@pytest.mark.parametrize("short", LENGTHS)
def test_a_database_that_is_cut_anywhere_is_made_again(copy, original, short):
    for cut in places(original.database.stat().st_size, short):
        state = copy()
        with state.database.open("r+b") as file:
            file.truncate(cut)
        assert is_noticed(state), cut
        mended(state)


@pytest.mark.long
@pytest.mark.parametrize("short", LENGTHS)
def test_a_database_with_one_bit_flipped_anywhere_is_made_again_if_anything_reads_that_bit(copy, original, short):
    random.seed(11)
    noticed, kept = 0, 0
    for place in places(original.database.stat().st_size, short):
        state = copy()
        data = bytearray(state.database.read_bytes())
        data[min(place + random.randrange(4096), len(data) - 1)] ^= 1 << random.randrange(8)
        state.database.write_bytes(data)
        if is_noticed(state):
            noticed += 1
            kept += mended(state) == TICKS
        else:
            assert rows(state, "SELECT count(*) FROM ticks") == [(TICKS,)]
            assert check_state(state) == []
    assert noticed
    assert kept, "damage in one table left no other readable"


@pytest.mark.long
@pytest.mark.parametrize("short", LENGTHS)
def test_a_damaged_write_ahead_log_costs_only_what_stands_behind_the_damage(copy, original, short):
    size = log_of(original).stat().st_size
    for place in range(200, size - 100, size // (3 if short else 40)):
        state = copy()
        data = bytearray(log_of(state).read_bytes())
        data[place] ^= 4
        log_of(state).write_bytes(data)
        assert is_noticed(state), place
        assert mended(state) == TICKS


KINDS = ["empty", "garbage", "zeros", "a directory", "a FIFO", "a device", "a link in a circle"]


@pytest.mark.parametrize("kind", [*KINDS, "a dangling link"])
@pytest.mark.sample(2)
def test_whatever_lies_in_the_place_of_the_database_is_set_aside(copy, kind):
    state = copy()
    in_its_place(state.database, kind)
    assert is_noticed(state)
    mended(state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(1)
def test_whatever_lies_in_the_place_of_the_write_ahead_log_is_no_hang(copy, kind):
    state = copy()
    in_its_place(log_of(state), kind)
    if is_noticed(state):
        assert mended(state) == TICKS


@pytest.mark.parametrize("kind", ["cut", "garbage", "a FIFO", "newer"])
def test_a_backup_takes_the_place_of_whatever_is_there(copy, kind):
    state = copy()
    with open_store(state) as store:
        backup = back_up(store.database, state, "manual", now=now())
        if kind == "newer":
            store.database.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    if kind == "cut":
        with state.database.open("r+b") as file:
            file.truncate(30_000)
    elif kind != "newer":
        in_its_place(state.database, kind)
    saved = restore_state(state, backup)
    assert "damaged" in saved.name
    assert rows(state, "SELECT count(*) FROM ticks") == [(TICKS,)]
    assert check_state(state) == []


def test_a_database_of_a_newer_version_is_not_damaged(copy):
    state = copy()
    with open_store(state) as store:
        store.database.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(SchemaTooNew):
        rebuild_index(state)
    with pytest.raises(StoreError, match="99"), open_store(state):
        pass
    assert not list(state.backups.glob("*damaged*")) if state.backups.exists() else True


@pytest.mark.parametrize("with_log", [True, False])
def test_a_database_that_was_removed_is_made_again_before_anything_else_is_done(copy, with_log):
    state = copy()
    state.database.unlink()
    if not with_log:
        log_of(state).unlink()
    told = []
    with open_store(state, tell=told.append) as store:
        assert len(store.database.rows("SELECT 1 FROM run_keys")) == RUNS
        assert len(store.database.rows("SELECT 1 FROM runs WHERE status = 'SUCCESS'")) == RUNS + 1
    assert "was missing" in told[0]
    assert "cursors" in told[0]
    (problem,) = check_state(state)
    assert "was missing" in problem


def a_run_by_key(state, key, **more):
    return a_finished_run(state, trigger=Trigger("sensor", SENSOR, key), plan=PLAN, **more)


def keys_of(state):
    return {key for (key,) in rows(state, "SELECT run_key FROM run_keys")}


@pytest.mark.sample(1)
@pytest.mark.parametrize("how", ["an older backup is restored", "the database is removed", "the database is damaged"])
def test_a_deleted_run_stays_deleted_and_its_key_stays_used(tmp_path, how):
    state = prepare(tmp_path / "state")
    early = a_run_by_key(state, "early")
    with open_store(state) as store:
        backup = back_up(store.database, state, "manual", now=now())
    late = a_run_by_key(state, "late")
    forgotten = a_run_by_key(state, "forgotten")
    with open_store(state) as store:
        for key in ("early", "late", "forgotten"):
            store.database.execute("INSERT INTO run_keys VALUES (?, ?, 'x') ON CONFLICT DO NOTHING", [SENSOR, key])
        sensor = Automation(id=SENSOR, location="main", name="inbox", kind="sensor", is_on=True, changed_at=at(0))
        free_key(store, sensor, "forgotten")
        for run in (early, late, forgotten):
            remove_run(store, run.run_id, now())
    if how == "an older backup is restored":
        restore_state(state, backup)
    elif how == "the database is removed":
        state.database.unlink()
        log_of(state).unlink(missing_ok=True)
    else:
        in_its_place(state.database, "garbage")
        rebuild_index(state)
    assert keys_of(state) == {"early", "late"}
    assert rows(state, "SELECT run_id FROM runs") == []
