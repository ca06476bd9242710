"""Steps are functions; a pipeline wires them together by calling them."""

from orchestrator import pipeline, step


@step
def numbers() -> list[int]:
    return [1, 2, 3]


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@pipeline
def add_up():
    """Add up a few numbers."""
    total(numbers())


def test_a_step_is_still_the_function_it_was():
    """`@step` changes nothing about a function. Call it in a test, in a notebook, or from another function."""
    assert total([4, 5]) == 9


def test_a_pipeline_runs_its_steps_in_the_order_of_their_needs():
    """Inside a function decorated with `@pipeline`, calling a step does not run it: it places the step in the
    pipeline and returns a handle to its output. Giving that handle to another step is what wires the two together.

    `orchestrator run add_up` runs each step in a process of its own. `execute_in_process` runs the same pipeline right
    here, and gives back everything that happened.
    """
    result = add_up.execute_in_process()
    assert result.success
    assert result.output("total") == 6


def test_a_step_used_twice_gets_a_number():
    """Every use of a step has its own name: the second is `total_2`. Choose a better one with `alias`."""

    @pipeline
    def add_up_often():
        same = numbers()
        total(same)
        total(same)
        total.alias("once_more")(same)

    result = add_up_often.execute_in_process()
    assert [result.output(name) for name in ("total", "total_2", "once_more")] == [6, 6, 6]


def test_many_outputs_can_go_into_one_input():
    """A list of outputs is one input: the step gets a list of the values, in the order in which you wrote them."""

    @pipeline
    def add_up_sums():
        total([total(numbers()), total.alias("again")(numbers())])

    assert add_up_sums.execute_in_process().output("total_2") == 12


def test_a_step_can_wait_for_another_without_taking_its_value():
    """Some steps are there for what they do, not for what they return: annotate them with `-> None`. `after=` makes a
    step wait for one or several others."""
    log = []

    @step
    def prepare() -> None:
        log.append("prepared")

    @step
    def publish() -> None:
        log.append("published")

    @pipeline
    def in_order():
        publish(after=prepare())

    in_order.execute_in_process()
    assert log == ["prepared", "published"]


def test_types_are_checked_as_values_pass():
    """Annotations are promises, and they are kept: a value of another type fails the step that gave or took it, with a
    message that shows what was wrong."""

    @step
    def words() -> list[int]:
        return ["one", 2]

    @pipeline
    def mistaken():
        total(words())

    error = mistaken.execute_in_process().failure("words")
    assert error.message == "output 'result' of step 'words': expected list[int], got a list with 'one' (str) at 0"
