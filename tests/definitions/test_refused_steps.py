"""Steps, hooks and retry policies that cannot be right."""

import functools

import pytest

from orchestrator import (
    DefinitionError,
    DynamicOut,
    Mode,
    Out,
    Preset,
    RetryPolicy,
    failure_hook,
    io_manager,
    pipeline,
    resource,
    step,
    success_hook,
)
from tests.definitions.refusals import NAME_HINT, Refusals, check_refusal
from tests.definitions.short import double, one

NAMED = "Name each input; to take many values in one, declare a list input and pass a list of outputs."
OUTPUTS = 'Write outputs=Out(type), outputs=DynamicOut(type) or outputs={"name": Out(type), ...}.'

case = Refusals()


# --- names ---


@case("Pipeline 'p'", "the name 'first' is used twice.", "Choose another alias.")
def an_alias_twice():
    @pipeline
    def p():
        one.alias("first")()
        one.alias("first")()  # here


@case("Pipeline 'p'", "the name 'one' is used twice.", "Choose another alias.")
def an_alias_that_is_a_step_already():
    @pipeline
    def p():
        one()
        double.alias("one")(one.alias("other")())  # here


@case("Alias of step 'one', 'a-b'", "that cannot be a name.", NAME_HINT)
def a_bad_alias():
    one.alias("a-b")  # here


@case("Step 'a.b'", "that cannot be a name.", NAME_HINT)
def a_bad_name():
    @step(name="a.b")  # here
    def f(): ...


@case("Step ''", "that cannot be a name.", NAME_HINT)
def an_empty_name():
    @step(name="")  # here
    def f(): ...


@case(f"Step {'f' * 101!r}", "that cannot be a name.", NAME_HINT)
def a_long_name():
    @step(name="f" * 101)  # here
    def f(): ...


@case("Step '<lambda>'", "that cannot be a name.", f"{NAME_HINT} Give the lambda one with name=...")
def a_lambda_without_a_name():
    step(lambda: 3)  # here


@case("Output of step 'f', 'a b'", "that cannot be a name.", NAME_HINT)
def a_bad_name_of_an_output():
    @step(outputs={"a b": Out()})  # here
    def f(): ...


@case("Resource of step 'f', 'my-db'", "that cannot be a name.", NAME_HINT)
def a_bad_name_of_a_resource():
    @step(resources={"my-db"})  # here
    def f(): ...


@case("Mode 'a/b'", "that cannot be a name.", NAME_HINT)
def a_bad_name_of_a_mode():
    Mode("a/b")  # here


@case("Preset ''", "that cannot be a name.", NAME_HINT)
def a_bad_name_of_a_preset():
    Preset("")  # here


@case("Resource of mode 'm', 'my-db'", "that cannot be a name.", NAME_HINT)
def a_bad_name_in_a_mode():
    Mode("m", resources={"my-db": 1})  # here


# --- functions that cannot be steps ---


@case("Step 'f'", "it takes *args, but inputs are recognised by name.", NAMED)
def any_number_of_inputs():
    @step  # here
    def f(*args): ...


@case("Step 'f'", "it takes **inputs, but inputs are recognised by name.", NAMED)
def any_named_inputs():
    @step  # here
    def f(**inputs): ...


@case("Step 'f'", "'a' is positional-only, but inputs are given by name.", "Take the `/` out of its parameters.")
def positional_only_inputs():
    @step  # here
    def f(a, /): ...


@case("Step 'größe'", "that cannot be a name.", f"{NAME_HINT} Give it an ASCII one with name=...")
def a_step_with_a_letter_beyond_ascii():
    @step  # here
    def größe(): ...


@case("Step 'f'", "`context` must be the first parameter.", "Move it to the front.")
def a_misplaced_context():
    @step  # here
    def f(a, context): ...


@case("@step", "it decorates a function, and is given a class.", "Write a function for it.")
def a_class_as_a_step():
    @step  # here
    class F: ...


@case("@step", "it decorates a function, and is given <built-in function len>.", "Write a function for it.")
def a_builtin_as_a_step():
    step(len)  # here


@case("@step", "it decorates a function, and is given 'load'.", "Options go by name: @step(name=...).")
def an_option_without_a_name():
    step("load")  # here


@case("@step", "Step 'f' is decorated already.", "Use one decorator.")
def a_step_of_a_step():
    @step  # here
    @step
    def f(): ...


@case("@resource", "Step 'f' is decorated already.", "Use one decorator.")
def a_resource_of_a_step():
    @resource  # here
    @step
    def f(): ...


@case("@pipeline", "Step 'one' is decorated already.", "Use one decorator.")
def a_pipeline_of_a_step():
    pipeline(one)  # here


@case("@step", "'f' is an async generator.", "Use a plain one.")
def an_async_generator():
    @step  # here
    async def f():
        yield 1


@case("@success_hook", "'h' is async.", "Use a plain function.")
def an_async_hook():
    @success_hook  # here
    async def h(context): ...


# --- options ---


@case("@step", "there is no option 'retires'.", "Did you mean retry?")
def an_option_misspelt():
    @step(retires=3)  # here
    def f(): ...


@case(
    "@step",
    "there is no option 'colour'.",
    "There is: name, outputs, resources, retry, timeout, tags, io_manager, version, isolation, executor, pod, hooks,"
    " description.",
)
def an_option_that_is_like_no_other():
    @step(colour="red")  # here
    def f(): ...


@case("@pipeline", "there is no option 'mode'.", "Did you mean modes?")
def an_option_of_a_pipeline_misspelt():
    @pipeline(mode=[Mode("m")])  # here
    def p():
        one()


@case("@resource", "there is no option 'resource'.", "Did you mean resources?")
def an_option_of_a_resource_misspelt():
    @resource(resource={"db"})  # here
    def r(): ...


@case(
    "@io_manager",
    "there is no option 'required_resource_keys'.",
    "There is: name, resources, description, version, in_process_only, reach, preload, in_storage.",
)
def an_option_of_an_io_manager_misspelt():
    @io_manager(required_resource_keys={"spark"})  # here
    def r(): ...


@case("@failure_hook", "there is no option 'resurces'.", "Did you mean resources?")
def an_option_of_a_hook_misspelt():
    @failure_hook(resurces={"db"})  # here
    def h(context): ...


@case("Step 'f'", "timeout=-1 is not a duration above 0.", 'Write timeout=600 or timeout="10m" for ten minutes.')
def a_negative_timeout():
    @step(timeout=-1)  # here
    def f(): ...


@case("Step 'f'", "timeout='10x' is not a duration above 0.", 'Write timeout=600 or timeout="10m" for ten minutes.')
def a_timeout_in_words():
    @step(timeout="10x")  # here
    def f(): ...


@case("Step 'f'", "timeout=True is not a duration above 0.", 'Write timeout=600 or timeout="10m" for ten minutes.')
def a_timeout_that_is_true():
    @step(timeout=True)  # here
    def f(): ...


@case("Step 'f'", "retry=3 is not a RetryPolicy.", "Write retry=RetryPolicy(max_retries=3).")
def a_number_of_retries():
    @step(retry=3)  # here
    def f(): ...


@case("RetryPolicy", "backoff='expo' is not a kind of backoff.", 'Use "constant", "linear" or "exponential".')
def an_unknown_backoff():
    RetryPolicy(backoff="expo")  # here


@case("RetryPolicy", "max_retries=-1 must be a whole number, 0 or more.")
def a_negative_number_of_retries():
    RetryPolicy(max_retries=-1)  # here


@case("RetryPolicy", "infrastructure_retries=1.5 must be a whole number, 0 or more.")
def one_and_a_half_retries():
    RetryPolicy(infrastructure_retries=1.5)  # here


@case(
    "RetryPolicy",
    "delay='2x' must be a duration of 0 seconds or more.",
    "Write seconds, text like '90s' or '15m', or a timedelta.",
)
def a_delay_in_words():
    RetryPolicy(delay="2x")  # here


@case("Step 'f'", "isolation='thread' is unknown.", 'Use "fork" or "spawn".')
def an_unknown_isolation():
    @step(isolation="thread")  # here
    def f(): ...


@case("Step 'f'", "resources='db' is a string.", 'Write resources={"db"}.')
def resources_as_a_string():
    @step(resources="db")  # here
    def f(): ...


@case("Resource 'r'", "resources='db' is a string.", 'Write resources={"db"}.')
def resources_of_a_resource_as_a_string():
    @resource(resources="db")  # here
    def r(context): ...


@case("Hook 'h'", "resources='db' is a string.", 'Write resources={"db"}.')
def resources_of_a_hook_as_a_string():
    @success_hook(resources="db")  # here
    def h(context): ...


@case("Resource of IO manager 'lake', 'my-db'", "that cannot be a name.", NAME_HINT)
def a_bad_name_of_a_resource_of_an_io_manager():
    @io_manager(resources={"my-db"})  # here
    def lake(context): ...


@case("Step 'f'", "resources=None is not a set of names.", 'Write resources={"name", ...}.')
def resources_that_are_none():
    @step(resources=None)  # here
    def f(): ...


@case("Step 'f'", "the tag 'orchestrator/team' is reserved.", "Tags may not begin with orchestrator/")
def a_reserved_tag():
    @step(tags={"orchestrator/team": "sales"})  # here
    def f(): ...


@case("Preset 's'", "the tag 'orchestrator/team' is reserved.", "Tags may not begin with orchestrator/")
def a_reserved_tag_in_a_preset():
    Preset("s", tags={"orchestrator/team": "sales"})  # here


@case("Step 'f'", "tags=['a'] is not a dictionary.", 'Write tags={"name": "value"}.')
def tags_in_a_list():
    @step(tags=["a"])  # here
    def f(): ...


@case("Step 'f'", "outputs=<class 'int'> is not a declaration of outputs.", OUTPUTS)
def a_type_as_output():
    @step(outputs=int)  # here
    def f(): ...


@case("Step 'f'", "outputs={'a': <class 'int'>} is not a declaration of outputs.", OUTPUTS)
def a_type_among_outputs():
    @step(outputs={"a": int})  # here
    def f(): ...


@case("Step 'f'", "outputs={} declares no output.", "Annotate the function with `-> None` instead.")
def no_outputs():
    @step(outputs={})  # here
    def f(): ...


@case("Step 'f'", "the metadata of its output 'result' is not a dictionary.", 'Write metadata={"name": ...}.')
def metadata_that_is_no_dictionary():
    @step(outputs=DynamicOut(metadata="daily.parquet"))  # here
    def f(): ...


@case("Step 'f'", "<built-in function print> is not a hook.", "Decorate it with @success_hook or @failure_hook.")
def a_function_as_a_hook():
    @step(hooks=print)  # here
    def f(): ...


@case("Hook 'h'", "a hook takes one parameter, `context`.", "Write `def h(context):`.")
def a_hook_that_calls_its_context_otherwise():
    @failure_hook  # here
    def h(ctx): ...


@pytest.mark.parametrize(("define", "what", "problem", "hint"), case.cases)
def test_a_step_that_cannot_be_right_is_refused_where_it_is_written(define, what, problem, hint):
    check_refusal(define, what, problem, hint)


def test_a_partial_function_is_refused_as_a_step():
    with pytest.raises(DefinitionError, match=r"it decorates a function, and is given functools\.partial"):
        step(functools.partial(print, 1))
