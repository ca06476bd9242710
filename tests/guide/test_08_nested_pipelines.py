"""A pipeline can be part of another."""

from orchestrator import pipeline, step


@step
def parse(text: str) -> list[str]:
    return text.split()


@step
def count(words: list[str]) -> int:
    return len(words)


@pipeline
def count_words(text):
    """Its parameters are its inputs, and what it returns are its outputs."""
    return count(parse(text))


@step
def hamlet() -> str:
    return "to be or not to be"


@step
def macbeth() -> str:
    return "fair is foul and foul is fair"


@step
def longest(counts: list[int]) -> int:
    return max(counts)


@pipeline
def compare():
    longest([count_words(hamlet()), count_words.alias("count_macbeth")(macbeth())])


def test_calling_a_pipeline_inside_another_places_all_of_its_steps():
    """They are called `count_words.parse`, `count_words.count`, and so on: in configuration, in selections, on the
    command line. Used again, the pipeline gets a number or the alias you give it, like a step."""
    result = compare.execute_in_process()
    assert result.output("count_words.count") == 6
    assert result.output("count_macbeth.count") == 7
    assert result.output("longest") == 7


def test_the_inner_pipeline_can_still_be_run_by_itself():
    """Its inputs then come from the configuration."""
    result = count_words.execute_in_process(config={"inputs": {"text": "one two three"}})
    assert result.output("count") == 3
