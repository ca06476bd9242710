"""As many steps as there are files: outputs whose number is only known when the step runs."""

from orchestrator import DynamicOut, DynamicOutput, pipeline, step


@step(outputs=DynamicOut(str))
def files():
    for name in ("berlin.csv", "paris.csv"):
        yield DynamicOutput(name, key=name.removesuffix(".csv"))


@step
def load(file: str) -> int:
    return len(file)


@step
def total(sizes: list[int]) -> int:
    return sum(sizes)


@pipeline
def load_all():
    total(files().map(load).collect())


def test_a_step_is_mapped_over_the_values_and_the_results_are_collected():
    """Each value has a key. `map` runs a step once for each of them, in parallel where the executor allows it, and
    `collect` gathers the results in one list. A step that fails can be run again for its key alone:
    `orchestrator run --from-failure last`. `--rerun last --select 'load[paris]*'` names the key."""
    result = load_all.execute_in_process()
    assert result.output("load") == {"berlin": 10, "paris": 9}
    assert result.output("load[paris]") == 9
    assert result.output("total") == 19


def test_several_steps_can_be_mapped_at_once():
    """Give `map` a function that calls steps. Values from outside may be used inside."""

    @step
    def factor() -> int:
        return 10

    @step
    def times(n: int, by: int) -> int:
        return n * by

    @pipeline
    def scaled():
        by = factor()
        total(files().map(lambda file: times(load(file), by)).collect())

    assert scaled.execute_in_process().output("total") == 190


def test_one_map_inside_another():
    """A mapped step may have a dynamic output too. `collect` then gathers the inner level: the step that takes the list
    runs once for each outer key, and its results can be collected in turn."""

    @step(outputs=DynamicOut(str))
    def lines(file: str):
        for number in range(2):
            yield DynamicOutput(f"{file}:{number}", key=str(number))

    @step
    def together(texts: list[str]) -> str:
        return " ".join(texts)

    @pipeline
    def nested():
        for_each_file = together(files().map(lines).map(lambda line: line).collect())
        together.alias("everything")(for_each_file.collect())

    result = nested.execute_in_process()
    assert result.output("together") == {
        "berlin": "berlin.csv:0 berlin.csv:1",
        "paris": "paris.csv:0 paris.csv:1",
    }
    assert result.output("everything") == "berlin.csv:0 berlin.csv:1 paris.csv:0 paris.csv:1"


def test_no_values_at_all_is_fine():
    """An empty directory is no error: nothing is mapped, and what is collected is an empty list."""

    @step(outputs=DynamicOut(str))
    def no_files():
        return []

    @pipeline
    def quiet_day():
        total(no_files().map(load).collect())

    result = quiet_day.execute_in_process()
    assert result.success
    assert result.output("total") == 0
