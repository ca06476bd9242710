"""What a step returns or yields, and how that becomes its outputs."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    Expectation,
    IOManager,
    Out,
    Output,
    pipeline,
    step,
)
from orchestrator.model.states import StepState
from tests.definitions.short import double, run, run_function, why

TWO = {"a": Out(int), "b": Out(int)}
TWO_OPTIONAL = {"a": Out(int, optional=True), "b": Out(int, optional=True)}
RETURN_TWO = 'Return a tuple (a, b), or yield Output(value, "name") for each output.'


class Pair(NamedTuple):
    b: int
    a: int


class Other(NamedTuple):
    left: int
    right: int


class Half(NamedTuple):
    a: int
    c: int


@pytest.mark.parametrize("value", [(1, 2), Pair(b=2, a=1), Other(1, 2)], ids=["plain", "by name", "by position"])
@pytest.mark.parametrize("outputs", [TWO, TWO_OPTIONAL], ids=["required", "optional"])
def test_a_tuple_gives_several_outputs(value, outputs):
    result = run_function(lambda: value, outputs=outputs)
    assert (result.output("it", "a"), result.output("it", "b")) == (1, 2)


def test_a_returned_tuple_goes_to_those_who_unpack_it():
    two = step(name="two", outputs=TWO)(lambda: (1, 2))
    shows = step(name="shows")(lambda a, b: f"{a} {b}")

    @pipeline
    def wired():
        a, b = two()
        shows(b=b, a=a)

    assert wired.execute_in_process().output("shows") == "1 2"
    assert two() == (1, 2)


@pytest.mark.parametrize("value", [(1, 2), (), ("x",), Pair(2, 1), [1, 2]], ids=repr)
@pytest.mark.parametrize("outputs", [None, Out(), {"only": Out()}], ids=["undeclared", "declared", "named"])
def test_a_tuple_for_a_single_output_is_its_value(value, outputs):
    name = "only" if isinstance(outputs, dict) else "result"
    assert run_function(lambda: value, outputs=outputs).output("it", name) == value


def test_a_tuple_may_hold_the_values_of_a_dynamic_output():
    body = lambda: (1, [DynamicOutput(2, key="x"), DynamicOutput(3, key="y", name="b")])  # noqa: E731
    result = run_function(body, outputs={"a": Out(int), "b": DynamicOut(int)})
    assert (result.output("it", "a"), result.output("it", "b")) == (1, {"x": 2, "y": 3})


def test_an_annotation_of_a_tuple_types_several_outputs():
    @step(outputs={"a": Out(), "b": Out(int)})
    def it() -> tuple[int, str]:
        return "x", 2

    assert why(run(it)) == "TypeCheckFailed: output 'a' of step 'it': expected int, got 'x' (str)"
    assert it.output_type("b") is int


def test_the_returned_value_is_the_output():
    assert run_function(lambda: 3).output("it") == 3


def test_none_is_a_value():
    result = run_function(lambda: None)
    assert result.output("it") is None
    assert "output_stored" in result.events_of("it")


def test_a_step_annotated_with_none_has_no_value_to_store():
    def says_nothing() -> None: ...

    result = run_function(says_nothing)
    assert result.output("it") is None
    assert "output_stored" not in result.events_of("it")


def test_an_optional_output_returned_as_none_is_produced():
    @step(outputs=Out(optional=True))
    def maybe():
        return None

    @step
    def shows(value) -> str:
        return repr(value)

    @pipeline
    def wired():
        shows(maybe())

    assert wired.execute_in_process().output("shows") == "None"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: Output(3), id="an Output"),
        pytest.param(lambda: [Output(3)], id="a list of Outputs"),
        pytest.param(lambda: (Output(3), AssetMaterialization("x")), id="a tuple with facts"),
        pytest.param(lambda: (Output(n) for n in (3,)), id="a generator"),
    ],
)
def test_an_output_may_be_returned_wrapped(body):
    assert run_function(lambda: body()).output("it") == 3


def test_several_outputs_are_yielded_by_name():
    def both():
        yield Output(2, "b")
        yield Output(1, "a")

    result = run_function(both, outputs=TWO)
    assert (result.output("it", "a"), result.output("it", "b")) == (1, 2)


def test_several_outputs_may_be_returned_as_a_list():
    result = run_function(lambda: [Output(1, "a"), Output(2, "b")], outputs=TWO)
    assert (result.output("it", "a"), result.output("it", "b")) == (1, 2)


def test_outputs_are_stored_as_they_are_yielded():
    order = []

    def both():
        yield Output(1, "a")
        order.append("between")
        yield Output(2, "b")

    result = run_function(both, outputs=TWO)
    kinds = result.events_of("it")
    assert kinds.count("output_stored") == 2
    assert order == ["between"]


def test_an_annotation_of_what_is_yielded_is_no_type_of_the_output():
    def one_output() -> Iterator[Output]:
        yield Output(3)

    assert run_function(one_output).output("it") == 3


def test_an_iterator_that_is_no_generator_is_a_value_and_not_several():
    def letters() -> Iterator[str]:
        return iter("ab")

    assert "Output 'result' of step 'it', a str_ascii_iterator, can be read only once" in why(
        run_function(letters), "it"
    )


def test_a_coroutine_is_awaited():
    async def slowly():
        return 3

    assert run_function(slowly).output("it") == 3


def test_a_coroutine_is_awaited_also_where_a_loop_is_running_already():
    """As in a notebook, or in a test that is itself async."""

    async def slowly():
        return 3

    async def notebook():
        return run_function(slowly).output("it")

    assert asyncio.run(notebook()) == 3


def test_an_optional_output_that_is_returned_as_none_says_how_to_leave_it_out():
    assert why(run_function(lambda: None, outputs=Out(int, optional=True))) == (
        "TypeCheckFailed: output 'result' of step 'it': expected int, got None (to leave an optional output out, do not"
        " yield it)"
    )


def test_a_list_and_a_tuple_are_values_like_any_other():
    def no_rows():
        return []

    assert run_function(no_rows).output("it") == []
    assert run_function(lambda: (1, 2)).output("it") == (1, 2)


@pytest.mark.parametrize("nothing", [None, [], ()], ids=["None", "an empty list", "an empty tuple"])
def test_returning_nothing_produces_none_of_several_optional_outputs(nothing):
    @step(outputs=TWO_OPTIONAL)
    def neither():
        return nothing

    @pipeline
    def wired():
        double(neither().a)

    result = wired.execute_in_process()
    assert result.success
    assert result.state("double") is StepState.SKIPPED


def test_facts_may_come_before_and_after_outputs():
    def states_facts():
        yield AssetMaterialization("before")
        yield Expectation(False, "enough rows")
        yield Output(3)
        yield AssetMaterialization("after")

    result = run_function(states_facts)
    assert result.success
    assert result.events_of("it")[2:] == [
        "asset_materialized",
        "expectation_checked",
        "output_produced",
        "output_stored",
        "asset_materialized",
        "attempt_succeeded",
    ]


def yields(*items):
    def body():
        yield from items

    return body


@pytest.mark.parametrize(
    ("body", "outputs", "problem"),
    [
        pytest.param(
            yields(AssetMaterialization("x")),
            None,
            "DefinitionError: Step 'it' did not produce its output 'result', which is not optional. Yield it on every"
            " path, or declare it with optional=True.",
            id="a required output is missing",
        ),
        pytest.param(
            yields(Output(1, "a")),
            TWO,
            "DefinitionError: Step 'it' did not produce its output 'b', which is not optional. Yield it on every path,"
            " or declare it with optional=True.",
            id="one of several is missing",
        ),
        pytest.param(
            lambda: None,
            TWO,
            "DefinitionError: Step 'it' did not produce its output 'a', which is not optional. Yield or return"
            ' Output(value, "a"), or declare it with optional=True.',
            id="nothing is returned",
        ),
        pytest.param(
            yields(Output(1, "resutl")),
            None,
            "DefinitionError: Step 'it' yielded an output 'resutl' that it does not declare. Did you mean result?",
            id="an unknown output",
        ),
        pytest.param(
            yields(Output(1), Output(2)),
            None,
            "DefinitionError: Step 'it' yielded its output 'result' twice.",
            id="an output twice",
        ),
        pytest.param(
            yields(3),
            None,
            "DefinitionError: Step 'it' yielded an int. Yield Output(value), DynamicOutput(value, key=...),"
            " AssetMaterialization(...) or Expectation(...).",
            id="something else",
        ),
        pytest.param(
            lambda: (1, 2, 3),
            TWO,
            f"DefinitionError: Step 'it' returned a tuple of 3, and has 2 outputs (a, b). {RETURN_TWO}",
            id="a tuple of too many",
        ),
        pytest.param(
            lambda: (1,),
            TWO_OPTIONAL,
            f"DefinitionError: Step 'it' returned a tuple of 1, and has 2 outputs (a, b). {RETURN_TWO}",
            id="a tuple of too few, though they are optional",
        ),
        pytest.param(
            lambda: [1, 2],
            TWO,
            f"DefinitionError: Step 'it' returned a list, and has 2 outputs (a, b). {RETURN_TWO}",
            id="a list for several outputs",
        ),
        pytest.param(
            lambda: {"a": 1, "b": 2},
            TWO,
            f"DefinitionError: Step 'it' returned a dict, and has 2 outputs (a, b). {RETURN_TWO}",
            id="a dictionary for several outputs",
        ),
        pytest.param(
            lambda: (Output(1, "a"), 2),
            TWO,
            "DefinitionError: Step 'it' returned a tuple that mixes plain values with Output or other objects to"
            f" yield. {RETURN_TWO}",
            id="a mixed tuple",
        ),
        pytest.param(
            lambda: Half(1, 2),
            TWO,
            f"DefinitionError: Step 'it' returned a named tuple of (a, c), and has 2 outputs (a, b). {RETURN_TWO}",
            id="a named tuple with other names",
        ),
        pytest.param(
            lambda: (None, 2),
            TWO_OPTIONAL,
            "DefinitionError: Step 'it' returned None in the place of its optional output 'a'. To leave it out, yield"
            ' the others. To give None as its value, yield Output(None, "a").',
            id="None in a tuple for an optional output",
        ),
        pytest.param(
            lambda: (1, "x"),
            TWO,
            "TypeCheckFailed: output 'b' of step 'it': expected int, got 'x' (str)",
            id="a member of another type",
        ),
        pytest.param(
            lambda: (1, 2),
            {"a": Out(int), "b": DynamicOut(int)},
            "DefinitionError: Step 'it' returned an int for its dynamic output 'b'. Return a list of"
            " DynamicOutput(value, key=...) in that place.",
            id="a plain member for a dynamic output",
        ),
        pytest.param(
            yields(Output("x")),
            Out(int),
            "TypeCheckFailed: output 'result' of step 'it': expected int, got 'x' (str)",
            id="a value of another type",
        ),
    ],
)
def test_a_step_that_breaks_its_word_fails_saying_how(body, outputs, problem):
    assert why(run_function(body, outputs=outputs)) == problem


def test_a_value_where_none_was_promised_fails_the_step():
    def says_something() -> None:
        return 3

    assert why(run_function(says_something)) == (
        "TypeCheckFailed: output 'result' of step 'it': expected None, got 3 (int)"
    )


def test_a_value_of_the_wrong_type_is_recorded_and_never_stored():
    def wrong() -> int:
        return "x"

    result = run_function(wrong)
    assert result.events_of("it")[2:] == ["output_produced", "attempt_failed", "step_failed"]
    (produced,) = [event for event in result.events if hasattr(event, "problem")]
    assert produced.problem == "expected int, got 'x' (str)"


def test_an_input_of_the_wrong_type_fails_the_step_that_takes_it():
    @step
    def text() -> str:
        return "x"

    @pipeline
    def wired():
        double(text())

    result = wired.execute_in_process()
    assert why(result, "double") == "TypeCheckFailed: input 'n' of step 'double': expected int, got 'x' (str)"
    assert result.events_of("double")[2] == "input_loaded"


def test_annotations_that_exist_only_for_type_checkers_are_not_checked():
    @step
    def odd(n: "NoSuchName") -> "NorThis":  # noqa: F821
        return n

    @step
    def text() -> str:
        return "x"

    @pipeline
    def wired():
        odd(text())

    assert wired.execute_in_process().output("odd") == "x"


def test_what_a_step_prints_and_raises_stays_with_it():
    def exits():
        raise SystemExit(3)

    result = run_function(exits)
    assert not result.success
    assert why(result) == "SystemExit: 3"


def test_steps_that_need_nothing_of_each_other_all_run():
    @step
    def fails():
        raise ValueError("no")

    @step
    def works() -> int:
        return 1

    result = run(fails, works)
    assert not result.success
    assert result.output("works") == 1


@pytest.mark.parametrize("metadata", [{"path": "x"}, {}])
def test_metadata_given_with_an_output_does_not_steer_the_io_manager(metadata):
    seen = []

    class Spy(IOManager):
        def handle_output(self, context, obj):
            seen.append(dict(context.metadata))

        def load_input(self, context): ...

    @step(outputs=Out(metadata={"path": "declared", "kind": "k"}))
    def it():
        yield Output(1, metadata=metadata)

    run(it, resources={"io_manager": Spy()})
    assert seen == [{"path": "declared", "kind": "k"}]


def test_a_dynamic_output_of_declared_type_checks_each_value():
    result = run_function(yields(DynamicOutput(1, key="a"), DynamicOutput("x", key="b")), outputs=DynamicOut(int))
    assert "expected int, got 'x' (str)" in why(result)


class Keeps(IOManager):
    """Records one asset for each value, and says where it is."""

    def __init__(self, assets=1):
        self._assets = assets

    def handle_output(self, context, obj):
        if self._assets == 1:
            return AssetMaterialization("a", metadata={"path": "real"})
        return [AssetMaterialization(f"a{n}") for n in range(self._assets)]

    def load_input(self, context): ...


def recorded(metadata, manager):
    @step
    def it():
        yield Output(1, metadata=metadata)

    result = run(it, resources={"io_manager": manager})
    kinds = {"OutputProduced": [], "AssetMaterialized": []}
    for event in result.events:
        kinds.get(type(event).__name__, []).append(getattr(event, "metadata", None))
    return result, kinds["OutputProduced"], kinds["AssetMaterialized"]


def test_metadata_of_an_output_is_recorded_with_it_and_with_its_asset():
    _, outputs, assets = recorded({"Non-empty items": 3600, "path": "of the step"}, Keeps())
    assert outputs == [{"Non-empty items": 3600, "path": "of the step"}]
    assert assets == [{"Non-empty items": 3600, "path": "real"}]


def test_metadata_of_an_output_is_not_attributed_to_any_of_several_assets():
    _, outputs, assets = recorded({"rows": 1}, Keeps(2))
    assert (outputs, assets) == ([{"rows": 1}], [{}, {}])


def test_metadata_of_an_output_that_cannot_be_recorded_fails_the_step_before_it_is_stored():
    result, outputs, assets = recorded({"model": object()}, Keeps())
    assert "The metadata entry 'model' of output 'result' of step 'it' cannot be recorded" in why(result)
    assert (outputs, assets) == ([], [])


def test_a_numpy_scalar_is_given_to_the_next_step_as_the_annotation_says():
    @step
    def total() -> int:
        return np.int64(3)

    @step
    def unannotated():
        return np.float32(1.5)

    @step
    def kinds(a: int, b, c: float) -> str:
        return f"{type(a).__name__} {type(b).__name__} {type(c).__name__}"

    @pipeline
    def counted():
        number = unannotated()
        kinds(total(), number, number)

    assert counted.execute_in_process().output("kinds") == "int float32 float"
