"""An example to change into your own: steps are functions, and a pipeline wires them together by calling them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import (
    AssetMaterialization,
    Metadata,
    RetryPolicy,
    RunRequest,
    StepContext,
    pipeline,
    schedule,
    sensor,
    step,
)

HERE = Path(__file__).parent
TEXT = """A schedule reconciles against time, a sensor against the outside world,
a queue against limits, and a run against its plan."""


@dataclass
class Source:
    """Configuration of a step: `orchestrator run hello --set steps.words.config.file=README.md`."""

    file: str | None = None


@dataclass
class Longest:
    """`orchestrator run hello --set steps.longest_words.config.n=3`"""

    n: int = 5


@step(retry=RetryPolicy(max_retries=2, delay=1.0))
def words(config: Source) -> list[str]:
    text = TEXT if config.file is None else Path(config.file).read_text()
    return [word.strip(".,").lower() for word in text.split()]


@step
def longest_words(context: StepContext, words: list[str], config: Longest) -> list[str]:
    found = sorted(set(words), key=lambda word: (-len(word), word))[: config.n]
    context.log.info("kept %d of %d words", len(found), len(words))
    context.log_asset(
        AssetMaterialization(
            "hello/longest_words",
            description="The longest words of a text.",
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


# Schedules and sensors are off until you turn them on, and are looked after by the daemon:
#
#   orchestrator schedule start every_morning
#   orchestrator sensor start new_texts
#   orchestrator daemon start             in this terminal; with --detach in the background
#
# What they would do, without doing it: orchestrator schedule next every_morning, orchestrator sensor preview new_texts.


@schedule(cron="0 7 * * *", timezone="UTC", pipeline=hello)
def every_morning() -> dict[str, Any]:
    """Greets at seven. If the machine was asleep then, once it is awake again."""
    return {"steps": {"longest_words": {"config": {"n": 3}}}}


@sensor(pipeline=hello, interval=5)
def new_texts() -> Iterator[RunRequest]:
    """Runs `hello` once for each text file in the directory `inbox`, ever: `run_key` says what counts as the same."""
    for path in sorted((HERE / "inbox").glob("*.txt")):
        yield RunRequest(run_key=path.name, config={"steps": {"words": {"config": {"file": str(path)}}}})
