"""The log of a running pod is copied as it comes: what the step printed, whole, and nothing of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.attempts.memory import MemoryChannels
from orchestrator.attempts.termination_message import BLOCK
from orchestrator.errors import ClusterUnreachable
from orchestrator.kubernetes.log_follower import MOST, LogFollower, split_printed

HANDLE = "0123456789ab/load/1"
OURS = f"{BLOCK}t0 ".encode()
LINES = [b"a line", b"", b"orchestrator-events t1 0 xx", OURS + b"0 abc", b"orchestrator"]


@given(
    st.lists(
        st.sampled_from([b"a line", b"", b"orchestrator-events t1 0 xx", OURS + b"0 abc", b"orchestrator"]), max_size=9
    ),
    st.lists(st.integers(1, 30), min_size=1, max_size=40),
    st.booleans(),
)
def test_however_a_log_arrives_the_same_is_printed(lines, sizes, is_ended):
    log = b"\n".join(lines) + (b"\n" if is_ended else b"")
    printed, rest, at = b"", b"", 0
    for size in [*sizes, len(log)]:
        more, rest = split_printed(rest + log[at : at + size], OURS)
        printed, at = printed + more, at + size
    printed += b"" if rest.startswith(OURS) else rest
    kept = [line for line in log.split(b"\n") if not line.startswith(OURS)]
    assert printed.rstrip(b"\n") == b"\n".join(kept).rstrip(b"\n")


class Api:
    """An API server that has this log, or breaks off after it."""

    def __init__(self, *chunks, breaks=False):
        self.chunks_of_log, self.breaks, self.asked = chunks, breaks, []

    def chunks(self, path, query, timeout):
        self.asked.append(path)
        yield from self.chunks_of_log
        if self.breaks:
            raise ClusterUnreachable("it broke off")


def followed(api):
    channels = MemoryChannels()
    channels.prepare(HANDLE)
    follower = LogFollower(api, "data", channels)
    follower.follow(HANDLE, "pod-1", "t0")
    return follower, channels


def printed(channels):
    return channels.attempts[HANDLE].printed.get("stdout", b"")


def test_a_log_that_was_copied_to_its_end_need_not_be_read_again():
    follower, channels = followed(Api(b"one\ntwo", b"\n", OURS + b"0 events\n", b"three"))
    assert follower.settle(HANDLE) == b"one\ntwo\nthree"
    assert printed(channels) == b"one\ntwo\nthree"


def test_a_log_that_broke_off_is_read_again_and_nothing_is_written_meanwhile():
    follower, channels = followed(Api(b"one\n", breaks=True))
    assert follower.settle(HANDLE) is None
    assert printed(channels) == b"one\n"


def test_what_was_never_followed_is_read():
    follower = LogFollower(Api(), "data", MemoryChannels())
    assert follower.settle(HANDLE) is None


def test_a_log_is_followed_once_and_at_most_so_many_at_a_time():
    class Silent(Api):
        def chunks(self, path, query, timeout):
            self.asked.append(path)
            while not released:
                yield b""

    released, api = [], Silent()
    channels = MemoryChannels()
    follower = LogFollower(api, "data", channels)
    for number in range(MOST + 5):
        follower.follow(f"0123456789ab/load/{number}", f"pod-{number}", "t0")
        follower.follow(f"0123456789ab/load/{number}", f"pod-{number}", "t0")
    released.append(True)
    for number in range(MOST):
        assert follower.settle(f"0123456789ab/load/{number}") is not None
    assert len(api.asked) == MOST
    follower.follow("0123456789ab/load/99", "pod-99", "t0")
    assert follower.settle("0123456789ab/load/99") is not None, "there is room again"


@pytest.mark.parametrize("size", [1, 1000])
def test_of_a_very_long_log_the_newest_part_is_read_at_the_end(monkeypatch, size):
    monkeypatch.setattr("orchestrator.kubernetes.log_follower._MOST_BYTES", 10 * size)
    follower, channels = followed(Api(*[b"x" * size] * 50))
    assert follower.settle(HANDLE) is None
    assert len(printed(channels)) == 10 * size
