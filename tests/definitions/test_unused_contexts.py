"""A first parameter called `_context` or `_` takes the context, whatever kind of function it is."""

import pytest

from orchestrator import (
    DefinitionError,
    IOManager,
    Mode,
    StepContext,
    asset_sensor,
    failure_hook,
    io_manager,
    pipeline,
    resource,
    run_status_sensor,
    schedule,
    sensor,
    step,
    success_hook,
)


def defined(source, name):
    """A function whose first parameter is called `name`: `source` says CONTEXT for it."""
    scope = {}
    exec(compile(source.replace("CONTEXT", name), __file__, "exec"), globals(), scope)
    return scope["f"]


names = pytest.mark.parametrize("name", ["context", "_context", "_"])


@names
def test_a_step_does_not_take_it_for_an_input(name):
    one = step(name="one")(lambda: 1)
    again = step(name="again")(defined("def f(CONTEXT, value, config=7): return (CONTEXT.step, value, config)", name))
    assert list(again.inputs) == ["value"]

    @pipeline
    def wired():
        again(one())

    assert wired.execute_in_process().output("again") == ("again", 1, 7)
    assert again(StepContext(step="direct"), 2) == ("direct", 2, 7)


@names
def test_resources_io_managers_and_hooks_are_given_it(name):
    told = []

    class Remember(IOManager):
        def handle_output(self, context, obj):
            told.append(("stored", obj))

        def load_input(self, context): ...

    database = resource(defined("def f(CONTEXT): return CONTEXT.name", name))
    lake = io_manager(
        defined("def f(manager):\n    def lake(CONTEXT): return manager\n    return lake", name)(Remember())
    )
    hooked = success_hook(name="hooked")(_calls(told, name))
    failed = failure_hook(name="failed")(_calls(told, name))

    @step(resources={"db"})
    def reads(context):
        return context.resources.db

    @step
    def fails(_) -> None:
        raise ValueError

    @pipeline(modes=[Mode("m", resources={"db": database, "io_manager": lake})], hooks={hooked, failed})
    def wired():
        reads()
        fails()

    wired.execute_in_process()
    assert sorted(told) == [("hook", "fails"), ("hook", "reads"), ("stored", "db")]


def _calls(told, name):
    make = defined("def f(told):\n    def hook(CONTEXT): told.append(('hook', CONTEXT.step))\n    return hook", name)
    return make(told)


@names
@pytest.mark.parametrize("generator", ["return CONTEXT.name", "yield CONTEXT.name"])
def test_a_resource_that_yields_is_given_it_too(name, generator):
    database = resource(defined(f"def f(CONTEXT): {generator}", name))

    @step(resources={"db"})
    def reads(context):
        return context.resources.db

    @pipeline(modes=[Mode("m", resources={"db": database})])
    def wired():
        reads()

    assert wired.execute_in_process().output("reads") == "db"


@names
def test_schedules_and_sensors_are_given_it(name):
    alone = defined("def f(CONTEXT): return None", name)
    assert schedule(cron="0 0 * * *", pipeline="p")(alone).takes_context
    assert sensor(pipeline="p")(alone).takes_context
    two = defined("def f(CONTEXT, what): return what", name)
    assert asset_sensor(asset="a", pipeline="p")(two)(None, 3) == 3
    assert run_status_sensor(status="FAILURE")(two)(None, 3) == 3


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("def f(value, _context): ...", "Move it to the front."),
        ("def f(context, _): ...", "Keep one of them: `context` is the context already."),
        ("def f(_, context): ...", "Keep one of them: `_` is the context already."),
    ],
)
def test_it_has_to_be_the_first_and_only_one(source, hint):
    with pytest.raises(DefinitionError) as caught:
        step(defined(source, ""))
    assert caught.value.hint == hint


def test_a_pipeline_takes_none():
    with pytest.raises(DefinitionError, match="takes neither context nor config"):
        pipeline(defined("def f(_): ...", ""))
