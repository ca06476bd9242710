"""What every channel of attempts guarantees to the owner of a run and to the attempt's process."""

import pytest

from orchestrator.attempts.observation import FINAL, Phase
from orchestrator.model import events as ev
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import encode_line
from tests.attempts.places import Files, Memory
from tests.engine.lives import START

HANDLE = "abcdefgh2345/load[a]/1"
COMMON = {"at": START, "step": "load[a]", "attempt": 1}
BEGAN = ev.AttemptStarted(n=0, pid=1, host="here", **COMMON)
LOGGED = ev.LogEmitted(n=1, level="INFO", message="halfway", **COMMON)
SUCCEEDED = ev.AttemptSucceeded(n=2, seconds=1.0, **COMMON)
FAILED = ev.AttemptFailed(n=2, seconds=1.0, error=ErrorInfo("E", "no"), **COMMON)
CANCELED = ev.AttemptCanceled(n=2, seconds=1.0, **COMMON)


@pytest.fixture(params=[Files, Memory])
def place(request, tmp_path):
    place = request.param(tmp_path)
    yield place
    place.close()


@pytest.fixture
def address(place):
    return place.channels.prepare(HANDLE)


@pytest.fixture
def owner(place, address):
    owner = place.channels.watch(HANDLE)
    yield owner
    owner.close()


def test_an_attempt_is_pending_until_it_is_claimed_and_running_from_then_on(place, address, owner):
    assert owner.look(parent_alive=True).phase is Phase.PENDING
    worker = place.start(address)
    assert worker.channel.is_claimed()
    for parent_alive in (True, False):
        assert owner.look(parent_alive=parent_alive).phase is Phase.RUNNING


def test_preparing_twice_changes_nothing(place, address, owner):
    worker = place.start(address)
    worker.append(BEGAN)
    assert place.channels.prepare(HANDLE) == address
    assert owner.look(parent_alive=True).events == (BEGAN,)


def test_an_attempt_is_claimed_once(place, address):
    first, second = place.start(address), place.start(address)
    assert (first.is_refused, second.is_refused) == (False, True)


def test_an_attempt_whose_worker_died_is_not_claimed_again(place, address):
    place.start(address).die()
    assert place.start(address).is_refused


def test_a_revoked_attempt_never_begins(place, address, owner):
    assert owner.revoke()
    assert owner.revoke(), "idempotent"
    assert place.start(address).is_refused
    for parent_alive in (True, False):
        later = place.channels.watch(HANDLE)
        assert later.look(parent_alive=parent_alive).phase is Phase.REVOKED
        later.close()


def test_a_claimed_attempt_is_not_revoked(place, address, owner):
    worker = place.start(address)
    assert not owner.revoke()
    worker.append(BEGAN, SUCCEEDED)
    assert owner.look(parent_alive=True).phase is Phase.SUCCEEDED


def test_what_would_not_be_started_any_more_is_revoked_by_looking(place, address, owner):
    assert owner.look(parent_alive=False).phase is Phase.REVOKED
    assert place.start(address).is_refused


def test_each_event_is_seen_once_and_in_order_with_the_line_it_was_written_as(place, address, owner):
    worker = place.start(address)
    worker.append(BEGAN)
    first = owner.look(parent_alive=True)
    assert (first.events, first.lines) == ((BEGAN,), (encode_line(BEGAN),))
    assert owner.look(parent_alive=True).events == ()
    worker.append(LOGGED, SUCCEEDED)
    last = owner.look(parent_alive=True)
    assert (last.events, last.lines) == ((LOGGED, SUCCEEDED), (encode_line(LOGGED), encode_line(SUCCEEDED)))


@pytest.mark.parametrize("seen", [0, 1, 2, 3])
def test_a_later_owner_is_given_what_the_earlier_one_had_not_seen(place, address, owner, seen):
    worker = place.start(address)
    worker.append(BEGAN, LOGGED, SUCCEEDED)
    worker.die()
    owner.close()
    later = place.channels.watch(HANDLE, seen=seen)
    observation = later.look(parent_alive=False)
    assert observation.events == (BEGAN, LOGGED, SUCCEEDED)[seen:]
    later.close()


@pytest.mark.parametrize(
    ("outcome", "phase"), [(SUCCEEDED, Phase.SUCCEEDED), (FAILED, Phase.FAILED), (CANCELED, Phase.FAILED)]
)
def test_the_outcome_is_the_last_event_that_counts(place, address, owner, outcome, phase):
    worker = place.start(address)
    worker.append(BEGAN, outcome, LOGGED)
    worker.finish()
    worker.die()
    seen = owner.look(parent_alive=False)
    assert (seen.phase, seen.events) == (phase, (BEGAN, outcome))


def test_an_outcome_outweighs_whatever_is_reported_of_the_process(place, address, owner):
    worker = place.start(address)
    worker.append(BEGAN, SUCCEEDED)
    worker.die()
    worker.channel.report_exit(-9)
    assert owner.look(parent_alive=True).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("bad", [b"\xff\xfe\n", b'{"event":"run_started"}\n', encode_line(ev.LogEmitted(
    n=1, level="INFO", message="", at=START, step="other", attempt=1))])  # fmt: skip
def test_a_damaged_event_costs_no_other(place, address, owner, bad):
    worker = place.start(address)
    worker.append(BEGAN)
    worker.append_raw(bad)
    worker.append(SUCCEEDED)
    seen = owner.look(parent_alive=True)
    assert seen.phase is Phase.SUCCEEDED
    assert [type(event) for event in seen.events] == [ev.AttemptStarted, ev.EventUnreadable, ev.AttemptSucceeded]
    assert seen.lines[1] == encode_line(seen.events[1])


def test_an_attempt_whose_outcome_may_be_damaged_has_failed_and_is_not_lost(place, address, owner):
    worker = place.start(address)
    worker.append_raw(b"damaged\n")
    worker.die()
    assert owner.look(parent_alive=False).phase is Phase.FAILED


@pytest.mark.parametrize(("code", "kind"), [(-9, "ProcessKilled"), (3, "ProcessExited"), (0, "ProcessExited")])
def test_a_death_that_its_parent_saw_is_a_failure(place, address, owner, code, kind):
    worker = place.start(address)
    worker.append(BEGAN)
    worker.die()
    assert worker.channel.ended_without_outcome(worker.pid)
    worker.channel.report_exit(code)
    seen = owner.look(parent_alive=True)
    assert (seen.phase, seen.error.kind, seen.events) == (Phase.FAILED, kind, (BEGAN,))


def test_a_death_that_was_not_seen_is_a_loss(place, address, owner):
    place.start(address).die()
    assert owner.look(parent_alive=False).phase is Phase.LOST


def test_what_could_not_be_started_is_lost_with_its_reason(place, address, owner):
    worker = place.start(address)
    worker.die()
    worker.channel.report_exit(None, lost="it could not be started: no room")
    seen = owner.look(parent_alive=True)
    assert (seen.phase, seen.reason) == (Phase.LOST, "it could not be started: no room")


def test_a_parent_has_nothing_to_report_once_the_outcome_is_recorded(place, address):
    worker = place.start(address)
    worker.append(BEGAN, SUCCEEDED)
    worker.finish()
    worker.die()
    assert not worker.channel.ended_without_outcome(worker.pid)


def test_stopping_asks_first(place, address, owner):
    worker = place.start(address)
    owner.stop(grace=60)
    assert worker.was_asked_to_stop()


def test_what_does_not_listen_is_ended_after_its_grace(place, address, owner):
    worker = place.start(address, "deaf")
    owner.stop(grace=60)
    assert owner.look(parent_alive=True).phase is Phase.RUNNING
    owner.stop(grace=0)
    if isinstance(place, Files):
        assert worker.process.wait() == -9
    assert owner.look(parent_alive=False).phase in FINAL


def test_stopping_what_has_not_begun_keeps_it_from_ever_beginning(place, address, owner):
    owner.stop(grace=60)
    assert owner.look(parent_alive=True).phase is Phase.REVOKED
    assert place.start(address).is_refused


def test_what_was_printed_can_be_read(place, address, owner):
    worker = place.start(address)
    with pytest.raises(FileNotFoundError):
        owner.log("stdout")
    worker.print("first\n")
    worker.print("second\n")
    with owner.log("stdout") as file:
        assert file.read() == b"first\nsecond\n"


def test_attempts_of_the_same_step_do_not_mix(place, address, owner):
    worker = place.start(address)
    worker.append(BEGAN)
    second = place.channels.prepare("abcdefgh2345/load[a]/2")
    assert not place.start(second).is_refused
    other = place.channels.watch("abcdefgh2345/load[a]/2")
    assert other.look(parent_alive=True).events == ()
    assert owner.look(parent_alive=True).events == (BEGAN,)
    other.close()
