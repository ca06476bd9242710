"""What a pod says of an attempt: its events whole or not at all, causes in words, and whose fault it was."""

import random

import pytest
from msgspec.structs import replace

from orchestrator.attempts.observation import Phase
from orchestrator.attempts.termination_message import BLOCK, MOST_BYTES, events_in, read_message, write_message
from orchestrator.clock import now
from orchestrator.kubernetes.facts import PodFacts, Stage, facts_of, waits_for
from orchestrator.kubernetes.outcome import finished, is_end_of, says_it_began, with_place
from orchestrator.model.attempt import Place, handle_of
from orchestrator.model.event_lines import decode_line
from orchestrator.model.events import AttemptStarted, AttemptSucceeded, LogEmitted, encode_line

HANDLE = handle_of("0123456789ab", "load", 1)


def events(count, noise=False):
    rnd = random.Random(count)
    common = {"step": "load", "attempt": 1}
    yield encode_line(AttemptStarted(at=now(), n=0, pid=1, host="h", **common))
    for n in range(1, count - 1):
        text = rnd.randbytes(60).hex() if noise else "line"
        yield encode_line(LogEmitted(at=now(), n=n, level="INFO", logger="l", message=text, **common))
    yield encode_line(AttemptSucceeded(at=now(), n=count - 1, seconds=0.1, outputs={}, **common))


def ended(left, **fields):
    return PodFacts(name="p", uid="u", stage=Stage.ENDED, left=left, **{"exit_code": 0, **fields})


@pytest.mark.parametrize("count", [2, 20, 60, 500])
@pytest.mark.parametrize("noise", [False, True], ids=["alike", "random"])
def test_events_survive_in_the_message_or_with_the_block(count, noise):
    lines = list(events(count, noise))
    written = write_message(lines, "token")
    assert len(written.message) <= MOST_BYTES
    message = read_message(written.message.decode())
    log = ["printed", *written.block, "after"]
    assert events_in(message, log, "token") == [line[:-1] for line in lines]
    if written.block:
        assert max(map(len, written.block)) < 4096
        assert events_in(message, log[:-2], "token") is None, "a part of them is none of them"
        assert events_in(message, log, "another") is None, "a step cannot forge them"


def test_the_steps_own_outcome_counts_before_what_the_cluster_says():
    lines = list(events(3))
    left = write_message(lines, "t").message.decode()
    seen = finished(HANDLE, ended(left, disruption="PreemptionByScheduler", is_deleting=True), b"", "t", 0).observation
    assert seen.phase is Phase.SUCCEEDED
    assert [event.n for event in seen.events] == [0, 1, 2]


def test_what_is_known_already_is_not_reported_again():
    left = write_message(list(events(5)), "t").message.decode()
    assert [event.n for event in finished(HANDLE, ended(left), b"", "t", 3).observation.events] == [3, 4]


def test_what_the_step_printed_is_kept_without_our_lines():
    written = write_message(list(events(500, noise=True)), "t")
    log = b"hello\n" + "".join(f"{line}\n" for line in written.block).encode() + b"bye\n"
    outcome = finished(HANDLE, ended(written.message.decode()), log, "t", 0)
    assert outcome.printed == b"hello\nbye\n"
    assert outcome.observation.phase is Phase.SUCCEEDED


def test_events_that_are_missing_are_not_passed_over_in_silence():
    lines = list(events(500, noise=True))
    left = write_message(lines, "t").message.decode()
    seen = finished(HANDLE, ended(left), b"", "t", 0).observation
    assert "events 1 to 499 are missing" in seen.events[0].reason


LIMIT = {"reason": "OOMKilled", "exit_code": 137, "memory_limit": "64Mi"}
NO_PROGRAM = {"exit_code": 128, "reason": "StartError", "left": "no such file: python"}
DRAINED = {"disruption": "EvictionByEvictionAPI", "node": "n1", "exit_code": 143}
OVERDUE = {"pod_reason": "DeadlineExceeded", "exit_code": 137}
ENDINGS = [
    ("out of memory", LIMIT, Phase.FAILED, "out of memory (limit 64Mi)"),
    ("an exit code", {"exit_code": 3}, Phase.FAILED, "exit code 3"),
    ("a signal", {"exit_code": 137, "reason": "Error"}, Phase.FAILED, "SIGKILL"),
    ("no such program", NO_PROGRAM, Phase.FAILED, "no such file: python"),
    ("the pod's deadline", OVERDUE, Phase.FAILED, "ran longer than allowed"),
    ("drained", DRAINED, Phase.LOST, "evicted through the API"),
    ("preempted", {"disruption": "PreemptionByScheduler", "exit_code": 143}, Phase.LOST, "preempted"),
    ("its node is gone", {"disruption": "DeletionByPodGC", "exit_code": None}, Phase.LOST, "its node is gone"),
    ("evicted by the node", {"pod_reason": "Evicted", "exit_code": None}, Phase.LOST, "evicted by the node"),
    ("deleted by a person", {"is_deleting": True, "exit_code": 137}, Phase.LOST, "its pod was deleted"),
]


@pytest.mark.parametrize(("fields", "phase", "words"), [pytest.param(*row[1:], id=row[0]) for row in ENDINGS])
def test_an_end_without_an_outcome_has_its_cause_and_its_fault(fields, phase, words):
    seen = finished(HANDLE, ended(**{"left": "", **fields}), b"", "t", 0).observation
    assert seen.phase is phase
    assert words in (seen.reason or seen.error.message)


def test_a_pod_that_we_stopped_is_not_lost():
    seen = finished(HANDLE, ended("", is_deleting=True, exit_code=137), b"", "t", 0, was_stopped=True).observation
    assert seen.phase is Phase.FAILED


def pod(status, **spec):
    return {
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"containers": [{"name": "step", "image": "i"}], **spec},
        "status": status,
    }


def waiting(reason, message=None):
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return pod({"phase": "Pending", "containerStatuses": [{"name": "step", "state": state}]})


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 cpu"}
WAITS = [
    ("image", waiting("ErrImagePull", "not found"), "ErrImagePull: not found", True),
    ("secret", waiting("CreateContainerConfigError", 'secret "x" not found'), 'secret "x" not found', True),
    ("no node", pod({"phase": "Pending", "conditions": [UNSCHEDULABLE]}), "Unschedulable: 0/1 nodes: 1 cpu", False),
    ("starting", waiting("ContainerCreating"), "FailedMount: no such volume", False),
]


@pytest.mark.parametrize(("seen", "words", "hopeless"), [pytest.param(*row[1:], id=row[0]) for row in WAITS])
def test_waiting_has_a_reason_and_some_are_hopeless(seen, words, hopeless):
    facts = facts_of(seen)
    assert facts.stage is Stage.WAITING
    assert words in waits_for(facts, "FailedMount: no such volume")
    assert facts.is_hopeless is hopeless


def test_without_a_pod_the_jobs_own_warning_is_the_reason():
    assert waits_for(None, "FailedCreate: exceeded quota") == "no pod yet: FailedCreate: exceeded quota"


def test_the_reason_stays_the_same_when_a_quota_refuses_one_pod_after_another():
    message = 'FailedCreate: Error creating: pods "orc-{}" is forbidden: exceeded quota: two'
    reasons = {waits_for(None, message.format(name)) for name in ("a-1-26kx4", "a-1-cpch9")}
    assert reasons == {"no pod yet: FailedCreate: Error creating: its pod is forbidden: exceeded quota: two"}


def test_that_no_node_had_room_is_no_reason_once_there_is_a_node():
    facts = PodFacts(name="p", uid="u", stage=Stage.WAITING, node="node", cause="ContainerCreating")
    assert waits_for(facts, "FailedScheduling: 0/1 nodes are available") == "ContainerCreating"
    assert waits_for(facts, "FailedMount: no such volume") == "FailedMount: no such volume"


def test_a_pod_that_vanished_unseen_is_lost():
    facts = PodFacts(name="p", uid="u", stage=Stage.RUNNING)
    seen = finished(HANDLE, facts, b"", "t", 1, is_gone=True).observation
    assert (seen.phase, seen.reason) == (Phase.LOST, "its pod is gone, and how it ended was not seen")


def test_an_outcome_counts_though_the_events_before_it_are_lost_and_that_is_said():
    lines = list(events(500, noise=True))
    left = write_message(lines, "t").message.decode()
    assert len(left) <= MOST_BYTES
    outcome = finished(HANDLE, ended(left), b"only a part of the log\n", "t", 1)
    assert (outcome.observation.phase, outcome.is_whole) == (Phase.SUCCEEDED, False)
    missing, last = outcome.observation.events
    assert missing.reason == "events 2 to 499 are missing: the pod's log has lost them"
    assert (missing.n, last.n) == (1, 499)
    assert outcome.observation.lines[1] == lines[-1]


def test_without_room_for_its_last_event_a_message_still_leads_to_the_block():
    huge = encode_line(
        AttemptSucceeded(
            at=now(), n=1, step="load", attempt=1, seconds=0.1, outputs={random.Random(1).randbytes(9000).hex(): None}
        )
    )
    first = encode_line(AttemptStarted(at=now(), n=0, pid=1, host="h", step="load", attempt=1))
    written = write_message([first, huge], "t")
    assert len(written.message) <= MOST_BYTES
    whole = finished(HANDLE, ended(written.message.decode()), "\n".join(written.block).encode(), "t", 0)
    assert (whole.observation.phase, whole.is_whole) == (Phase.SUCCEEDED, True)
    lost = finished(HANDLE, ended(written.message.decode()), b"", "t", 0)
    assert (lost.observation.phase, lost.observation.error.kind) == (Phase.FAILED, "EventsMissing")


def test_an_attempt_that_has_ended_says_itself_when_it_began_and_its_owner_adds_where():
    lines = list(events(3))
    facts = ended(write_message(lines, "t").message.decode())
    assert says_it_began(facts)
    place = Place("p", "node-1", "sales@sha256:ab", 1.5)
    seen = with_place(finished(HANDLE, facts, b"", "t", 0).observation, place)
    assert seen.events[0].place == place
    assert decode_line(seen.lines[0]) == seen.events[0]
    assert seen.events[0].at == decode_line(lines[0]).at
    assert seen.lines[1:] == tuple(lines[1:])


@pytest.mark.parametrize("facts", [ended(""), ended("Killed"), replace(ended(""), stage=Stage.RUNNING)])
def test_a_pod_without_events_does_not_say_that_it_began(facts):
    assert not says_it_began(facts)
    observation = finished(HANDLE, facts, b"", "t", 0).observation
    assert with_place(observation, Place("p")) == observation


@pytest.mark.parametrize(
    ("copied", "log", "is_end"),
    [
        (b"one\ntwo\n", b"two\n", True),
        (b"two", b"one\ntwo\n", True),
        (b"", b"", True),
        (b"one\n", b"", True),
        (b"one\n", f"one\n{BLOCK}t 0 abc\n".encode(), True),
        (b"", f"{BLOCK}t 0 abc\n".encode(), True),
        (b"one\n", b"one\ntwo\n", False),
        (b"", b"one\n", False),
    ],
)
def test_a_copied_log_is_whole_when_it_goes_to_the_logs_end(copied, log, is_end):
    assert is_end_of(copied, log, "t") is is_end
