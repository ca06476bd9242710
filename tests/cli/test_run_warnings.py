"""What goes wrong around a step that succeeds is shown with the run, and to programs too."""

import pytest

WORKSPACE = """
    from orchestrator import Mode, pipeline, resource, step, success_hook

    @resource
    def base(context):
        yield "base"
        raise OSError("the connection was gone")

    @resource
    def twice(context):
        yield 1
        yield 2

    @success_hook
    def mail(context):
        raise ValueError("no such address")

    @step(resources=["base", "twice"], hooks=[mail])
    def first(context):
        return 1

    @step(resources=["base"])
    def second(context, value): pass

    @pipeline(modes=[Mode(resources={"base": base, "twice": twice})])
    def work():
        second(first())
"""
EXPECTED = [
    ("hook mail failed", "first", "no such address"),
    ("resource base was not torn down", "first", "the connection was gone"),
    ("resource base was not torn down", "second", "the connection was gone"),
    ("resource twice was not torn down", "first", "Resource 'twice' yields more than once; it may yield one value."),
]


@pytest.fixture
def ran(bench):
    bench.write(WORKSPACE)
    bench.ran = bench("run", "work").ok()
    return bench


def test_each_cause_is_shown_once_with_its_steps(ran):
    for text in (ran.ran.out, ran.here("runs", "show", "last").ok().out):
        section = text.partition("warnings\n")[2].partition("\n\n")[0]
        assert "hook mail failed (first): ValueError: no such address" in section
        assert "resource base was not torn down (first, second): OSError: the connection was gone" in section
        assert "resource twice was not torn down (first): DefinitionError" in section
        assert "pipelines.py" in section


def test_programs_get_every_one(ran):
    found = ran.json("runs", "show", "last")["warnings"]
    assert sorted((one["what"], one["step"], one["error"]["message"]) for one in found) == EXPECTED


def test_a_run_without_any_has_no_such_section(bench):
    bench.write("from orchestrator import pipeline, step\n@step\ndef one(): pass\n@pipeline\ndef work(): one()\n")
    assert "warnings" not in bench("run", "work").ok().out
    assert bench.json("runs", "show", "last")["warnings"] == []
