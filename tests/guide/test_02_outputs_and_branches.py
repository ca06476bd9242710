"""A step may have several outputs, and may leave some of them out."""

from orchestrator import Out, Output, pipeline, step


@step(outputs={"good": Out(list[int]), "bad": Out(list[int], optional=True)})
def check(numbers=(1, -2, 3)):
    yield Output([n for n in numbers if n > 0], "good")
    rejected = [n for n in numbers if n <= 0]
    if rejected:
        yield Output(rejected, "bad")


@step(outputs={"low": Out(int), "high": Out(int)})
def ends(numbers: list[int]):
    return min(numbers), max(numbers)


@step
def store(numbers: list[int]) -> int:
    return len(numbers)


@step
def complain(numbers: list[int]) -> str:
    return f"{len(numbers)} bad"


@pipeline
def checked(numbers):
    good, bad = check(numbers)
    store(good)
    complain(bad)


def test_several_outputs_are_yielded_one_by_one():
    """Declare the outputs by name, and `yield` an `Output` for each. In the pipeline, unpack the handles in the order
    of their declaration, or use their names: `check(...).good`."""
    result = checked.execute_in_process(config={"inputs": {"numbers": [1, -2, 3]}})
    assert result.output("check", "good") == [1, 3]
    assert result.output("complain") == "1 bad"


def test_several_outputs_may_be_returned_as_a_tuple():
    """A function that returns a tuple needs no `yield`: its members are the outputs, in the order of declaration."""

    @pipeline
    def spread(numbers):
        ends(numbers)

    result = spread.execute_in_process(config={"inputs": {"numbers": [3, 1, 2]}})
    assert (result.output("ends", "low"), result.output("ends", "high")) == (1, 3)


def test_an_optional_output_left_out_is_a_branch_not_taken():
    """There is no `if` in a pipeline, because its function runs before there are any values. To branch, declare an
    output `optional` and leave it out: the steps that need it are skipped, and so are the steps that need those. The
    run succeeds."""
    result = checked.execute_in_process(config={"inputs": {"numbers": [1, 2, 3]}})
    assert result.success
    assert result.state("complain") == "SKIPPED"
    assert result.output("store") == 3


def test_branches_meet_again_in_a_list():
    """A list takes what there is: members that were not produced are left out. Only when all are missing is the step
    that takes the list skipped."""

    @step(outputs={"small": Out(str, optional=True), "large": Out(str, optional=True)})
    def decide():
        yield Output("took the small road", "small")

    @step
    def report(lines: list[str]) -> str:
        return "; ".join(lines)

    @pipeline
    def crossroads():
        roads = decide()
        report([roads.small, roads.large])

    assert crossroads.execute_in_process().output("report") == "took the small road"


def test_a_failing_branch_does_not_stop_the_others():
    """When a step fails, the steps that need it are abandoned; all others run. The run as a whole has failed, and says
    which step it was."""

    @step
    def breaks() -> list[int]:
        raise ValueError("out of paper")

    @step
    def works() -> str:
        return "fine"

    @pipeline
    def both():
        store(breaks())
        works()

    result = both.execute_in_process()
    assert not result.success
    assert result.failure("breaks").message == "out of paper"
    assert result.state("store") == "ABANDONED"
    assert result.output("works") == "fine"
