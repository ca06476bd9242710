"""Code that is saved again at once: what runs is what was saved last."""

import os
import time

import pytest

PIPELINE = """
    from helper import WORD
    from orchestrator import pipeline, step

    @step
    def say():
        print("MAIN", WORD)

    @pipeline
    def p():
        say()
"""
# Python notes of a file that it compiles how long it is, and in which second it was saved. These are the same below.
SECOND = int(time.time()) + 3600


def save(bench, main, helper):
    bench.write(PIPELINE.replace("MAIN", main))
    bench.write(helper, "helper.py")
    for file in ("pipelines.py", "helper.py"):
        os.utime(bench.path / file, (SECOND, SECOND))


@pytest.mark.parametrize("isolation", ["fork", "spawn"])
@pytest.mark.sample(1)
def test_code_that_is_saved_twice_within_a_second_runs_as_it_was_saved_last(bench, isolation):
    bench.settings(f"locations: [{{name: main, file: pipelines.py, isolation: {isolation}}}]")
    for main, helper in (("one", "WORD = 'a'"), ("two", "WORD = 'a'"), ("two", "WORD = 'b'")):
        save(bench, main, helper)
        bench("run", "p").ok()
        assert f"{main} {helper[-2]}" in bench.here("runs", "logs", "last").out


def test_code_that_could_not_be_imported_is_forgotten_as_well(bench):
    save(bench, "one", "WORD = 'a' + 1")
    assert bench("run", "p").code == 3
    save(bench, "one", "WORD = 'a'+'1'")
    bench("run", "p").ok()


def test_code_that_has_been_there_for_a_while_is_compiled_once(bench):
    save(bench, "one", "WORD = 'a'")
    for file in ("pipelines.py", "helper.py"):
        os.utime(bench.path / file, (SECOND - 7200, SECOND - 7200))
    bench("run", "p").ok()
    compiled = sorted(path.name.partition(".")[0] for path in (bench.path / "__pycache__").iterdir())
    assert compiled == ["helper", "pipelines"]
