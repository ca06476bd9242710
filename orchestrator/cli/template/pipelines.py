"""An example: steps are functions, a pipeline wires them together by calling them."""

from dataclasses import dataclass

from orchestrator import AssetMaterialization, Metadata, RetryPolicy, StepContext, pipeline, step

TEXT = """A schedule reconciles against time, a sensor against the outside world,
a queue against limits, and a run against its plan."""


@dataclass
class Longest:
    """Configuration of a step: `orchestrator run hello --set steps.longest_words.config.n=3`."""

    n: int = 5


@step
def words() -> list[str]:
    return [word.strip(".,").lower() for word in TEXT.split()]


@step(retry=RetryPolicy(max_retries=2, delay=1.0))
def longest_words(context: StepContext, words: list[str], config: Longest) -> list[str]:
    found = sorted(set(words), key=lambda word: (-len(word), word))[: config.n]
    context.log.info("kept %d of %d words", len(found), len(words))
    context.log_asset(
        AssetMaterialization(
            "hello/longest_words",
            description="The longest words of the example text.",
            metadata={
                "count": len(found),
                "words": Metadata.table([{"word": word, "letters": len(word)} for word in found]),
            },
        )
    )
    return found


@step
def greet(longest: list[str]) -> None:
    print("Hello! The longest words are:", ", ".join(longest))


@pipeline
def hello():
    """Find the longest words of a text, and greet with them."""
    greet(longest_words(words()))
