"""User code that writes to descriptors that are not its own, or answers what nobody can read, costs itself its tick or
its location. Its neighbors go on.
"""

import random
import textwrap

import msgspec
import pytest

from orchestrator.daemon.answers import DEEPEST, AnswerUnreadable, is_too_deep, read_evaluation, read_plans
from orchestrator.model.tick import Evaluation, Requested

GOOD = """
    from orchestrator import SkipReason, pipeline, sensor, step

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()

    @sensor(pipeline=work, interval=1, default_on=True)
    def neighbor(context):
        return SkipReason("fine")
"""
HOSTILE = """
    import os, sys
    from orchestrator import RunRequest, SkipReason, pipeline, sensor, step

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()

    def write_everywhere(junk):
        for descriptor in range(3, 1024):
            try:
                os.write(descriptor, junk)
            except OSError:
                pass

    @sensor(pipeline=work, interval=1, default_on=True)
    def hostile(context):
        {body}
"""
BODIES = {
    "bytes that are no message": 'write_everywhere(b"hello, is there anybody?" * 10); return SkipReason("wrote")',
    "a length that is absurd": 'write_everywhere(b"\\xff" * 64); return SkipReason("wrote")',
    "a complete message of junk": 'write_everywhere(b"\\0\\0\\0\\4junk"); return SkipReason("wrote")',
    "a message of another kind": 'write_everywhere(b"\\0\\0\\0\\5\\x81\\xa1a\\xa1b"); return SkipReason("wrote")',
    "config that nothing can read": """
        sys.setrecursionlimit(10**6)
        config = {}
        for _ in range(5000):
            config = {"a": config}
        return RunRequest(run_key="deep", config=config)""",
    "config that is only too deep": """
        config = {}
        for _ in range(150):
            config = {"a": config}
        return RunRequest(run_key="deep", config=config)""",
    "everything closed": "os.closerange(3, 1024); return SkipReason('closed')",
    "another error than expected": "raise RecursionError('on purpose')",
}


def two_locations(bench, body, more=""):
    (bench.path / "good.py").write_text(textwrap.dedent(GOOD))
    (bench.path / "bad.py").write_text(textwrap.dedent(HOSTILE).format(body=body) + more)
    bench.settings("locations: [{name: bad, file: bad.py}, {name: good, file: good.py}]")


def states(ticking, name):
    location, _, name = name.partition("/")
    return [str(tick.status) for tick in ticking.ticks(name, location)]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.sample(4)
def test_a_hostile_sensor_fails_its_own_tick_and_no_other(bench, ticking, body):
    two_locations(bench, body)
    with ticking:
        for second in (0, 3, 6, 9):
            ticking.at(f"2019-02-27T12:00:{second:02}Z")
        assert states(ticking, "good/neighbor") == ["SKIPPED"] * 3
        assert states(ticking, "bad/hostile") == ["FAILURE"] * 2  # a sensor that fails is asked less often
        assert all(tick.error for tick in ticking.ticks("hostile", "bad"))


def test_random_bytes_stop_nobody_else(bench, ticking):
    noise = random.Random(7)
    junk = [noise.randbytes(noise.randrange(5, 300)) for _ in range(8)]
    junk = [bytes([one[0] | 0x80]) + one[1:] for one in junk]  # lengths beyond any message: none is waited for
    asked = "int(context.last_tick_at.timestamp() if context.last_tick_at else 0) // 60 % 8"
    two_locations(bench, f"write_everywhere({junk!r}[{asked}])")
    with ticking:
        for minute in range(9):
            ticking.at(f"2019-02-27T12:{minute:02}:00Z")
        assert states(ticking, "good/neighbor") == ["SKIPPED"] * 8
        assert set(states(ticking, "bad/hostile")) == {"FAILURE"}
        assert len(states(ticking, "bad/hostile")) > 4


@pytest.mark.sample(1)
@pytest.mark.parametrize("junk", [b"\0\0\0\4junk", b"\xff" * 40], ids=["junk", "absurd length"])
def test_a_module_that_writes_to_our_descriptors_is_broken_alone_and_mended_by_its_next_version(bench, ticking, junk):
    two_locations(bench, "return SkipReason('fine')", f"\nwrite_everywhere({junk!r})\n")
    with ticking:
        ticking.at("2019-02-27T12:00:00Z", until=lambda: ticking.daemon.locations.all["bad"].error is not None)
        ticking.at("2019-02-27T12:01:00Z").at("2019-02-27T12:02:00Z")
        assert set(states(ticking, "good/neighbor")) == {"SKIPPED"}
        two_locations(bench, "return SkipReason('fine')")
        ticking.daemon.locations.reload()
        ticking.at("2019-02-27T12:03:00Z", until=lambda: ticking.daemon.locations.loaded("bad") is not None)
        ticking.at("2019-02-27T12:04:00Z").at("2019-02-27T12:05:00Z")
        assert set(states(ticking, "bad/hostile")) == {"SKIPPED"}


def test_such_a_module_is_an_error_on_the_command_line_and_no_traceback(bench):
    two_locations(bench, "return SkipReason('fine')", '\nwrite_everywhere(b"\\0\\0\\0\\4junk")\n')
    listed = bench.here("pipeline", "list")
    assert "Traceback" not in listed.err
    assert "descriptors" in listed.err
    assert bench.here("pipeline", "show", "bad/work").code == 6
    assert bench.here("sensor", "preview", "neighbor").code == 0


def test_an_answer_that_cannot_be_read_is_told_by_preview(bench):
    two_locations(bench, BODIES["config that nothing can read"])
    preview = bench.here("sensor", "preview", "hostile")
    assert preview.code == 6
    assert "Traceback" not in preview.err


def nested(levels):
    value = {}
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize(("levels", "deep"), [(0, False), (DEEPEST - 1, False), (DEEPEST + 1, True), (100_000, True)])
def test_depth_is_measured_without_recursion(levels, deep):
    assert is_too_deep(nested(levels)) is deep


def test_a_config_of_the_greatest_depth_is_taken():
    request = Requested(config=nested(DEEPEST - 1) if DEEPEST % 2 else {"a": nested(DEEPEST - 2)})
    raw = msgspec.json.encode(Evaluation(requests=(request,)))
    assert read_evaluation(raw).requests == (request,)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"requests": 1}',
        b'{"requests": [{"config": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}]}",
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_is_a_problem_in_words(raw):
    with pytest.raises(AnswerUnreadable, match="invalid result"):
        read_evaluation(raw)
    with pytest.raises(AnswerUnreadable):
        read_plans(raw, 1, None)


@pytest.mark.parametrize("raw", [b"[]", b'[{"problem": "x"}, {"problem": "y"}]', b"[{}]", b'[{"planned": 3}]'])
def test_plans_that_do_not_fit_the_question_are_a_problem_in_words(raw):
    with pytest.raises(AnswerUnreadable):
        read_plans(raw, 1, None)
