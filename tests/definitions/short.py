"""Short ways of writing down and running what tests need again and again."""

import pytest

from orchestrator import DefinitionError, DynamicOut, DynamicOutput, Out, Output, pipeline, step


@step
def one() -> int:
    return 1


@step
def double(n: int) -> int:
    return n * 2


@step
def add(a: int, b: int = 10) -> int:
    return a + b


@step
def total(ns: list[int]) -> int:
    return sum(ns)


@step(outputs={"even": Out(int, optional=True), "odd": Out(int, optional=True)})
def sort_out(n: int = 1):
    yield Output(n, "odd" if n % 2 else "even")


@step(outputs=DynamicOut(str))
def files():
    for name in ("a", "b"):
        yield DynamicOutput(name, key=name)


@step(outputs=DynamicOut(str))
def split(file: str):
    for number in ("0", "1"):
        yield DynamicOutput(file + number, key=number)


@step
def load(chunk: str) -> str:
    return chunk.upper()


@step
def joined(texts: list[str]) -> str:
    return "+".join(texts)


def run(*steps, **options):
    """The result of a pipeline that calls these steps, without wires between them."""

    @pipeline
    def only_these():
        for each in steps:
            each()

    return only_these.execute_in_process(**options)


def run_function(function, **options):
    """The result of a pipeline of one step made from a function; `options` are the step's."""
    return run(step(name="it", **options)(function))


def why(result, step="it"):
    """Why a step failed, in one line."""
    error = result.failure(step)
    return f"{error.kind}: {' '.join(error.message.split())}"


def states(result):
    """How each step ended, by its key."""
    return {event.step: result.state(event.step) for event in result.events if hasattr(event, "step")}


def refusal(function, *arguments, **options):
    """The DefinitionError that a function raises."""
    with pytest.raises(DefinitionError) as caught:
        function(*arguments, **options)
    return caught.value
