"""Finding runs."""

import pytest

from orchestrator.catalog.runs import begun_runs, count_runs, delete_run, get_run, list_runs, resolve_run
from orchestrator.catalog.session import open_store
from orchestrator.errors import NotFound
from orchestrator.model.filters import RunFilter
from orchestrator.model.states import RunState
from tests.catalog.journals import a_finished_run, a_run, append, at, started


@pytest.fixture
def three(state):
    a_finished_run(state, run_id="aaaa00000001", seconds=1, tags={"team": "sales"})
    a_finished_run(state, run_id="aaaa00000002", seconds=2, status=RunState.FAILURE, pipeline="other")
    append(a_run(state, run_id="bbbb00000003", seconds=3, tags={"team": "data", "odd key": "x"}), started())


@pytest.mark.parametrize(
    ("which", "found"),
    [
        pytest.param({}, ["bbbb00000003", "aaaa00000002", "aaaa00000001"], id="all, newest first"),
        pytest.param({"pipeline": "other"}, ["aaaa00000002"], id="by pipeline"),
        pytest.param({"statuses": (RunState.SUCCESS, RunState.STARTED)}, ["bbbb00000003", "aaaa00000001"], id="states"),
        pytest.param({"tags": (("team", "sales"),)}, ["aaaa00000001"], id="by a tag's value"),
        pytest.param({"tags": (("team", None),)}, ["bbbb00000003", "aaaa00000001"], id="by having a tag"),
        pytest.param({"tags": (("odd key", "x"),)}, ["bbbb00000003"], id="a tag with a space"),
        pytest.param({"tags": (("team", "'; DROP TABLE runs"),)}, [], id="a tag that would be SQL"),
        pytest.param({"since": at(2)}, ["bbbb00000003", "aaaa00000002"], id="since an instant, inclusive"),
        pytest.param({"limit": 1}, ["bbbb00000003"], id="at most so many"),
        pytest.param({"pipeline": "other", "statuses": (RunState.SUCCESS,)}, [], id="everything must hold"),
    ],
)
@pytest.mark.sample(6)
def test_runs_are_listed_by_what_is_asked(three, ask, which, found):
    assert [run.run_id for run in ask(list_runs, RunFilter(**which))] == found
    if "limit" not in which:
        assert ask(count_runs, RunFilter(**which)) == len(found)


@pytest.mark.parametrize(
    ("reference", "run_id"),
    [
        ("bbbb00000003", "bbbb00000003"),
        ("b", "bbbb00000003"),
        ("last", "bbbb00000003"),
        ("aaaa00000001", "aaaa00000001"),
    ],
)
def test_a_run_is_meant_by_its_id_the_beginning_of_it_or_last(three, ask, reference, run_id):
    assert ask(resolve_run, reference) == run_id


@pytest.mark.parametrize("reference", ["zz", "", "../../etc/passwd", "%", "a'--", "aaaa000000011"])
def test_what_means_no_run_is_not_found(three, ask, reference):
    with pytest.raises(NotFound, match="There is no run"):
        ask(resolve_run, reference)


def test_what_means_several_runs_names_them(three, ask):
    with pytest.raises(NotFound, match="aaaa00000002, aaaa00000001"):
        ask(resolve_run, "aaaa")


def test_last_of_nothing_says_so(ask):
    with pytest.raises(NotFound, match="There are no runs yet"):
        ask(resolve_run, "last")


def test_a_deleted_run_is_gone_from_every_table(state, ask):
    run = a_finished_run(state)
    ask(delete_run, run.run_id)
    with pytest.raises(NotFound):
        ask(get_run, run.run_id)


def test_a_run_that_waits_or_is_over_has_not_begun(state, ask, three):
    ask(list_runs, RunFilter())
    with open_store(state) as store:
        store.database.execute("UPDATE runs SET status = 'QUEUED' WHERE run_id = 'aaaa00000001'")
        assert store(begun_runs) == ["bbbb00000003"]
