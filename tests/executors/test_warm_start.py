"""What a location imports: all that its steps need before they are forked, and nothing else."""

import pytest

PIPELINE = """
    import sys
    from orchestrator import pipeline, step

    @step
    def look():
        print("seen:", *sorted(LIBRARIES & set(sys.modules)))

    LIBRARIES = {"asyncio", "croniter", "duckdb", "pyarrow", "pydantic"}
    MORE

    @pipeline
    def p():
        look()
        REST
"""


@pytest.mark.parametrize(
    ("more", "rest", "seen"),
    [
        pytest.param("", "", "seen:", id="plain"),
        pytest.param("@step\n    async def wait() -> None: ...", "wait()", "seen: asyncio", id="async"),
    ],
)
def test_a_location_imports_what_its_steps_need_and_nothing_else(bench, more, rest, seen):
    bench.write(PIPELINE.replace("MORE", more).replace("REST", rest))
    bench("run", "p").ok()
    assert f"look | {seen}\n" in bench.here("runs", "logs", "last", "--step", "look").out
