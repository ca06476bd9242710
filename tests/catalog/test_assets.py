"""The asset catalog."""

import pytest

from orchestrator.catalog.assets import asset_history, get_asset, list_assets, wipe_assets
from orchestrator.catalog.maintenance import rebuild
from orchestrator.catalog.runs import delete_run
from orchestrator.catalog.session import open_store
from orchestrator.errors import NotFound
from orchestrator.model.filters import HistoryFilter
from tests.catalog.journals import a_finished_run, an_asset, at


def keys(assets):
    return ["/".join(asset.asset) for asset in assets]


def partitions(history):
    return [one.partition for one in history]


@pytest.fixture
def days(state):
    """Partitions a, a, b, c of one asset, in that order."""
    return a_finished_run(state, *(an_asset("days", seconds=i, partition=p) for i, p in enumerate("aabc", 3)))


def test_an_asset_is_listed_with_what_was_last_said_of_it(state, ask):
    a_finished_run(state, an_asset("orders", seconds=3, rows=1))
    a_finished_run(state, an_asset("orders", seconds=4, rows=2), seconds=1)
    (asset,) = ask(list_assets)
    assert (asset.asset, asset.materializations, asset.first_at) == (("orders",), 2, at(3))
    assert asset.last.metadata == {"rows": 2}


def test_a_prefix_matches_whole_parts_only(state, ask):
    a_finished_run(state, an_asset("asset"), an_asset("asset", "x"), an_asset("asset_1"))
    assert keys(ask(list_assets, ("asset",))) == ["asset", "asset/x"]


def test_history_comes_newest_first_and_can_be_filtered_by_partition(days, ask):
    assert partitions(ask(asset_history, ("days",), HistoryFilter())) == ["c", "b", "a", "a"]
    assert partitions(ask(asset_history, ("days",), HistoryFilter(partitions=("a", "b")))) == ["b", "a", "a"]
    assert partitions(ask(asset_history, ("days",), HistoryFilter(limit=1))) == ["c"]


def test_history_can_be_read_on_from_where_one_was(days, ask):
    second = ask(asset_history, ("days",), HistoryFilter(oldest_first=True))[1]
    rest = ask(asset_history, ("days",), HistoryFilter(after=second.id, oldest_first=True))
    assert partitions(rest) == ["b", "c"]


def test_wiping_forgets_an_asset_and_keeps_the_events(days, ask, state):
    assert ask(wipe_assets, (("days",),), now=at(100)) == 1
    with pytest.raises(NotFound):
        ask(get_asset, ("days",))
    with open_store(state) as store:
        assert store.database.rows("SELECT count(*) FROM events WHERE event = 'asset_materialized'") == [(4,)]


def test_a_wiped_asset_comes_back_with_its_next_materialization(days, ask, state):
    ask(wipe_assets, None, now=at(100))
    a_finished_run(state, an_asset("days", seconds=200))
    assert ask(get_asset, ("days",)).materializations == 1


def test_what_was_wiped_stays_wiped_when_the_index_is_rebuilt(days, ask, state):
    ask(wipe_assets, None, now=at(100))
    with open_store(state) as store:
        rebuild(store.database, state, [days.run_id])
    assert ask(list_assets) == []


def test_a_rebuild_keeps_ids_and_order(days, ask, state):
    before = ask(asset_history, ("days",), HistoryFilter())
    with open_store(state) as store:
        rebuild(store.database, state, [days.run_id])
    assert ask(asset_history, ("days",), HistoryFilter()) == before


def test_after_a_wipe_what_comes_is_still_later_than_what_was(days, ask, state):
    last = ask(asset_history, ("days",), HistoryFilter(limit=1))[0]
    a_finished_run(state, an_asset("other", seconds=150))
    ask(wipe_assets, (("other",),), now=at(160))
    a_finished_run(state, an_asset("days", seconds=200))
    assert len(ask(asset_history, ("days",), HistoryFilter(after=last.id))) == 1


def test_deleting_the_last_run_that_wrote_an_asset_removes_it(days, ask):
    ask(delete_run, days.run_id)
    assert ask(list_assets) == []


def test_an_unknown_asset_says_what_is_near(days, ask):
    with pytest.raises(NotFound) as refused:
        ask(get_asset, ("dayz",))
    assert "Did you mean days?" in refused.value.hint


def test_an_asset_key_is_never_taken_for_sql(state, ask):
    a_finished_run(state, an_asset("o'brien", 'quo"ted'))
    assert ask(get_asset, ("o'brien", 'quo"ted')).materializations == 1
