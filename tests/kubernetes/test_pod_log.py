"""Of a long log the newest part is kept, and it says so; of one that cannot be read nothing is made up."""

import pytest

from orchestrator.errors import ClusterRefused, ClusterUnreachable
from orchestrator.kubernetes import pod_log
from orchestrator.kubernetes.pod_log import PodLogs


class Api:
    """An API server with this log: it answers with the last lines, in pieces, and may raise in the end."""

    def __init__(self, log, error=None):
        self.log, self.error, self.asked = log, error, []

    def _newest(self, query):
        count = int(query["tailLines"])
        self.asked.append(count)
        return b"".join(self.log.splitlines(keepends=True)[-count:])

    def chunks(self, path, query, timeout):
        data = self._newest(query)
        yield from (data[start : start + 7] for start in range(0, len(data), 7))
        if self.error is not None:
            raise self.error

    def text(self, path, query, timeout):
        if self.error is not None:
            raise self.error
        return self._newest(query)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pod_log, "MOST_LINES", 40)
    monkeypatch.setattr(pod_log, "MOST_BYTES", 200)
    monkeypatch.setattr(pod_log, "_PIECE", 50)


def lines(count, text="line"):
    return b"".join(f"{text} {number}\n".encode() for number in range(count))


def test_a_short_log_is_read_whole():
    assert PodLogs(Api(lines(10)), "data").newest("p") == lines(10)


@pytest.mark.parametrize("log", [lines(500), lines(30, "a line that is longer")], ids=["many lines", "many bytes"])
def test_of_a_long_log_the_newest_part_is_kept_with_a_word_about_the_rest(log):
    first, _, rest = PodLogs(Api(log), "data").newest("p").partition(b"\n")
    assert b"the step printed more than this" in first
    assert log.endswith(rest)
    assert 100 < len(rest) <= 400


def test_of_a_log_with_very_long_lines_only_some_are_asked_for():
    api = Api(lines(40, "x" * 90))
    kept = PodLogs(api, "data").newest("p")
    assert api.asked == [40, 4]
    assert kept.endswith(b"x 39\n")


@pytest.mark.parametrize(
    "api",
    [
        Api(b"unable to retrieve container logs for containerd://ab"),
        Api(b"", ClusterRefused("pods p not found")),
        Api(b""),
    ],
    ids=["a node that has forgotten it", "a pod that is gone", "nothing printed"],
)
def test_a_log_that_is_not_there_is_empty(api):
    assert PodLogs(api, "data").newest("p") == b""


def test_a_log_that_cannot_be_read_now_is_an_error():
    with pytest.raises(ClusterUnreachable):
        PodLogs(Api(lines(3), ClusterUnreachable("away")), "data").newest("p")


def test_the_end_of_a_log_has_the_lines_that_are_asked_for_and_some_more():
    api = Api(lines(100))
    assert PodLogs(api, "data").tail("p", 5).endswith(lines(100)[-30:])
    assert api.asked == [25]
