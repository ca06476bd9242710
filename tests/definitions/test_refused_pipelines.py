"""Pipelines, modes, presets and resources that cannot be right."""

import pytest

from orchestrator import Mode, Out, Preset, failure_hook, parquet_io_manager, pipeline, resource, step
from tests.definitions.refusals import Refusals, check_refusal
from tests.definitions.short import one

MAKE_IT = "Decorate a function that makes it with @resource or @io_manager. If it returns one that is ready, call it:"

case = Refusals()


@case("Pipeline 'p'", "it has no steps.", "Call at least one step in its function.")
def a_pipeline_without_steps():
    @pipeline  # here
    def p(): ...


@case("Pipeline 'p'", "its function yields, so nothing in it runs.", "Return instead.")
def a_pipeline_that_yields():
    @pipeline  # here
    def p():
        yield one()


@case(
    "Pipeline 'p'",
    "a pipeline's function takes neither context nor config.",
    "It only wires steps together; steps take `context` and `config`.",
)
def a_pipeline_with_a_context():
    @pipeline  # here
    def p(context):
        one()


@case(
    "Pipeline 'p'",
    "a pipeline is not called like a function.",
    "Run it with `orchestrator run p` or `p.execute_in_process()`.",
)
def a_pipeline_called_like_a_function():
    @pipeline
    def p():
        one()

    p()  # here


@case("Pipeline 'p'", "two modes are called 'dev'.", "Rename one of them.")
def two_modes_of_one_name():
    @pipeline(modes=[Mode("dev"), Mode("dev")])  # here
    def p():
        one()


@case("Pipeline 'p'", "two presets are called 'small'.", "Rename one of them.")
def two_presets_of_one_name():
    @pipeline(presets=[Preset("small"), Preset("small")])  # here
    def p():
        one()


@case("Pipeline 'p'", "modes= holds 'dev', which is not a Mode.", 'Write modes=[Mode("name", ...)].')
def a_name_as_a_mode():
    @pipeline(modes=["dev"])  # here
    def p():
        one()


@case("Pipeline 'p'", "preset 'small' names no mode of it.", "Did you mean prod?")
def a_preset_for_no_mode():
    small = Preset("small", mode="pord")  # here

    @pipeline(modes=[Mode("prod")], presets=[small])
    def p():
        one()


@case("Preset 'small'", "config= is not a dictionary.", 'Write config={"steps": {"name": {"config": {...}}}}.')
def a_preset_whose_configuration_is_a_list():
    Preset("small", config=["steps"])  # here


@case("Mode 'm'", "resources= is not a dictionary.", 'Write resources={"name": ...}.')
def resources_of_a_mode_in_a_set():
    Mode("m", resources={"db"})  # here


@case(
    "Pipeline 'p'",
    "mode 'm' has no resource 'warehouse', which step 'f' requires.",
    'Add it to the mode: Mode("m", resources={"warehouse": ...}). Did you mean warehose?',
)
def a_mode_without_a_resource():
    @step(resources={"warehouse"})
    def f(context): ...

    @pipeline(modes=[Mode("m", resources={"warehose": 1})])  # here
    def p():
        f()


@case(
    "Pipeline 'p'",
    "mode 'default' has no IO manager 'lake', which output 'good' of step 'f' requires.",
    'Add it to the mode: Mode("default", resources={"lake": ...}).',
)
def a_mode_without_an_io_manager():
    @step(outputs={"good": Out(io_manager="lake"), "bad": Out()})
    def f(): ...

    @pipeline  # here
    def p():
        f()


@case(
    "Pipeline 'p'",
    "mode 'default' has no resource 'slack', which hook 'tell' on step 'one' requires.",
    'Add it to the mode: Mode("default", resources={"slack": ...}).',
)
def a_mode_without_a_resource_of_a_hook():
    @failure_hook(resources={"slack"})
    def tell(context): ...

    @pipeline(hooks={tell})  # here
    def p():
        one()


@case(
    "Pipeline 'p'",
    "mode 'm' has no resource 'vault', which resource 'db' requires.",
    'Add it to the mode: Mode("m", resources={"vault": ...}). There is: db.',
)
def a_mode_without_a_resource_of_a_resource():
    @resource(resources={"vault"})
    def db(context): ...

    @pipeline(modes=[Mode("m", resources={"db": db})])  # here
    def p():
        one()


@case(
    "Pipeline 'p'",
    "in mode 'm', 'io_manager' is used as an IO manager by output 'result' of step 'one' and is not one.",
    "Make 'db' with @io_manager, returning an IOManager.",
)
def an_io_manager_that_is_none():
    @resource
    def db(): ...

    @pipeline(modes=[Mode("m", resources={"io_manager": db})])  # here
    def p():
        one()


@case("Resource 'a'", "it needs itself: a -> b -> c -> a.", "Remove one of these needs.")
def resources_in_a_circle():
    @resource(resources={"b"})
    def a(context): ...

    @resource(resources={"c"})
    def b(context): ...

    @resource(resources={"a"})
    def c(context): ...

    circle = Mode("m", resources={"a": a, "b": b, "c": c})  # here

    @pipeline(modes=[circle])
    def p():
        one()


@case(
    "Resource 'db'",
    "it takes url; only `context` and `config` are provided.",
    "Take what it needs from `config`, or name other resources in resources={...}.",
)
def a_resource_with_inputs():
    @resource  # here
    def db(url): ...


@case(
    "Mode 'm'",
    "the resource 'db' is a bare function.",
    f"{MAKE_IT} connect(...).",
)
def a_function_as_a_resource():
    def connect(): ...

    Mode("m", resources={"db": connect})  # here


@case(
    "Mode 'm'",
    "the resource 'io_manager' is a bare function.",
    f"{MAKE_IT} parquet_io_manager(...).",
)
def an_io_manager_not_called():
    Mode("m", resources={"io_manager": parquet_io_manager})  # here


@case("Mode 'm'", "the resource 'db' is the class Database itself.", "Give an object: Database(...).")
def a_class_as_a_resource():
    class Database: ...

    Mode("m", resources={"db": Database})  # here


@case(
    "Mode 'm'",
    "the resource 'db' is Step 'one'.",
    "A resource is made with @resource or @io_manager, or is a plain object.",
)
def a_step_as_a_resource():
    Mode("m", resources={"db": one})  # here


@pytest.mark.parametrize(("define", "what", "problem", "hint"), case.cases)
def test_a_pipeline_that_cannot_be_right_is_refused_where_it_is_written(define, what, problem, hint):
    check_refusal(define, what, problem, hint)
