"""Resources: made in the order of their needs, torn down in reverse, whatever happens in between."""

from contextlib import contextmanager

import pytest

from orchestrator import (
    Failure,
    IOManager,
    Mode,
    ResourceContext,
    RetryRequested,
    io_manager,
    pipeline,
    resource,
    step,
)
from tests.definitions.short import run, why


@pytest.fixture
def lives():
    return []


def living(lives, name, needs=(), fails=None):
    """A resource that notes when it is made and torn down; `fails` says in which of the two it raises."""

    @resource(name=name, resources=needs)
    def it(context):
        if fails == "init":
            raise ConnectionError(f"{name} is down")
        lives.append(f"+{name}")
        yield name
        if fails == "teardown":
            raise ConnectionError(f"{name} does not close")
        lives.append(f"-{name}")

    return it


def ran(resources, body=lambda context: None, needs=None):
    """A run of one step called `it` that needs all of the resources, or those named."""

    @step(resources=needs or set(resources))
    def it(context):
        return body(context)

    @pipeline(modes=[Mode("m", resources=resources)])
    def uses():
        it()

    return uses.execute_in_process()


def raises(error):
    def body(context):
        raise error

    return body


def test_a_resource_is_what_its_function_returns_or_yields(lives):
    @resource
    def plain():
        return "plain"

    found = ran(
        {"plain": plain, "living": living(lives, "living"), "constant": 3},
        lambda context: (context.resources.plain, context.resources.living, context.resources.constant),
    )
    assert found.output("it") == ("plain", "living", 3)


def test_what_a_resource_needs_is_made_first_and_torn_down_last(lives):
    ran({"a": living(lives, "a", {"b"}), "b": living(lives, "b", {"c"}), "c": living(lives, "c")})
    assert lives == ["+c", "+b", "+a", "-a", "-b", "-c"]


def test_independent_resources_are_made_in_the_order_of_the_mode(lives):
    ran({"z": living(lives, "z"), "a": living(lives, "a")})
    assert lives == ["+z", "+a", "-a", "-z"]


def test_a_resource_that_two_others_need_is_made_once(lives):
    ran({"a": living(lives, "a", {"c"}), "b": living(lives, "b", {"c"}), "c": living(lives, "c")})
    assert lives == ["+c", "+a", "+b", "-b", "-a", "-c"]


def test_only_what_the_step_needs_is_made(lives):
    ran({"a": living(lives, "a"), "b": living(lives, "b")}, needs={"b"})
    assert lives == ["+b", "-b"]


def test_a_resource_sees_its_configuration_the_run_and_only_what_it_names(lives):
    seen = {}

    @resource(resources={"a"})
    def looks(context: ResourceContext, config: dict):
        seen.update(name=context.name, step=context.step, config=(context.config, config), has=list(context.resources))
        context.log.info("looking")

    @step(resources={"looks"})
    def it(context): ...

    @pipeline(modes=[Mode("m", resources={"looks": looks, "a": living(lives, "a"), "b": 1})])
    def uses():
        it()

    result = uses.execute_in_process(config={"resources": {"looks": {"config": {"x": 1}}}})
    assert seen == {"name": "looks", "step": "it", "config": ({"x": 1}, {"x": 1}), "has": ["a"]}
    assert "log_emitted" in result.events_of("it")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError("no"), id="exception"),
        pytest.param(SystemExit(1), id="exit"),
        pytest.param(RetryRequested(), id="retry"),
        pytest.param(Failure("no"), id="failure"),
    ],
)
def test_resources_are_torn_down_when_the_step_fails(lives, error):
    result = ran({"a": living(lives, "a"), "b": living(lives, "b", {"a"})}, raises(error))
    assert not result.success
    assert lives[:4] == ["+a", "+b", "-b", "-a"]


def test_what_was_made_is_torn_down_when_the_next_resource_cannot_be_made(lives):
    result = ran(
        {"a": living(lives, "a"), "b": living(lives, "b", {"a"}, fails="init"), "c": living(lives, "c", {"b"})}
    )
    assert lives == ["+a", "-a"]
    assert why(result) == "ResourceInitFailed: resource 'b' could not be made: ConnectionError: b is down"
    assert result.failure("it").cause.frames[-1].function == "it"
    assert result.events_of("it")[2:] == [
        "resource_initialized",
        "resource_failed",
        "resource_torn_down",
        "attempt_failed",
        "step_failed",
    ]


def test_a_teardown_that_fails_is_recorded_and_keeps_no_other_from_happening(lives):
    result = ran({"a": living(lives, "a"), "b": living(lives, "b", fails="teardown"), "c": living(lives, "c")})
    assert result.success
    assert lives == ["+a", "+b", "+c", "-c", "-a"]
    assert result.events_of("it")[-4:] == [
        "resource_torn_down",
        "resource_failed",
        "resource_torn_down",
        "attempt_succeeded",
    ]


def test_a_teardown_that_fails_does_not_hide_why_the_step_failed(lives):
    result = ran({"a": living(lives, "a", fails="teardown")}, raises(ValueError("no")))
    assert why(result) == "ValueError: no"


def test_a_resource_may_be_used_with_try_and_finally(lives):
    @resource
    def guarded():
        try:
            yield "guarded"
        finally:
            lives.append("cleaned up")

    assert not ran({"guarded": guarded}, raises(ValueError("no"))).success
    assert lives == ["cleaned up"]


def test_a_resource_that_fails_half_made_cleans_up_after_itself(lives):
    @resource
    def half():
        try:
            raise ConnectionError("half way")
            yield
        finally:
            lives.append("cleaned up")

    ran({"half": half})
    assert lives == ["cleaned up"]


@pytest.mark.parametrize(
    ("error", "tries"), [(RetryRequested(max_retries=2), 3), (Failure("no", allow_retries=False), 1)]
)
def test_a_resource_may_ask_for_a_retry_or_forbid_it_like_a_step(error, tries):
    @resource
    def picky():
        raise error

    assert ran({"picky": picky}).events_of("it").count("attempt_started") == tries


def test_a_generator_that_yields_nothing_is_no_resource():
    @resource
    def empty():
        yield from ()

    assert "Resource 'empty' is a generator that yields nothing" in why(ran({"empty": empty}))


def test_a_generator_that_yields_twice_is_stopped_and_its_step_is_not_harmed(lives):
    @resource
    def twice():
        try:
            yield 1
            yield 2
        finally:
            lives.append("closed")

    result = ran({"twice": twice}, lambda context: context.resources.twice)
    assert result.output("it") == 1
    assert lives == ["closed"]
    (event,) = [event for event in result.events if type(event).__name__ == "ResourceFailed"]
    assert (event.phase, event.error.message) == (
        "teardown",
        "Resource 'twice' yields more than once; it may yield one value.",
    )


def test_a_resource_that_was_not_asked_for_is_not_there(lives):
    result = ran({"warehouse": 1, "other": 2}, lambda context: context.resources.warehouse, needs={"other"})
    assert why(result) == (
        "AttributeError: Step 'it' has no resource 'warehouse'; add it to resources={...}. There is: other."
    )


def test_every_step_has_resources_of_its_own(lives):
    @step(resources={"a"})
    def it(context): ...

    @pipeline(modes=[Mode("m", resources={"a": living(lives, "a")})])
    def uses():
        it()
        it()

    uses.execute_in_process()
    assert lives == ["+a", "-a", "+a", "-a"]


def test_an_io_manager_is_a_resource_with_needs_and_a_teardown(lives):
    class Kept(IOManager):
        def __init__(self, spark):
            self.spark = spark

        def handle_output(self, context, obj):
            lives.append(f"stored with {context.resources.spark}")

        def load_input(self, context): ...

    @io_manager(resources={"spark"})
    def kept(context):
        lives.append("+manager")
        yield Kept(context.resources.spark)
        lives.append("-manager")

    @step(io_manager="kept")
    def it() -> int:
        return 1

    @pipeline(modes=[Mode("m", resources={"kept": kept, "spark": living(lives, "spark")})])
    def uses():
        it()

    result = uses.execute_in_process()
    assert lives == ["+spark", "+manager", "stored with spark", "-manager", "-spark"]
    # Managers are plumbing: they are named by what they stored, not by their coming and going.
    assert result.events_of("it").count("resource_initialized") == 1


def test_something_else_where_an_io_manager_should_be_fails_the_step_saying_so():
    @io_manager
    def wrong():
        return 3

    @step
    def it() -> int:
        return 1

    assert why(run(it, resources={"io_manager": wrong})) == (
        "DefinitionError: The IO manager 'io_manager' is an int, which has no handle_output and load_input. Return a"
        " subclass of orchestrator.IOManager from the function decorated with @io_manager."
    )


def test_a_context_manager_made_by_a_function_is_entered_and_left(lives):
    @resource
    @contextmanager
    def it(context):
        lives.append("+it")
        yield "the value"
        lives.append("-it")

    result = ran({"it": it}, lambda context: lives.append(context.resources.it))
    assert result.success
    assert lives == ["+it", "the value", "-it"]
