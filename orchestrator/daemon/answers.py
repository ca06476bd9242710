"""Reads what evaluators answer. User code decides what is in an answer, so whatever is wrong with one is a problem of
that one question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.executors.base import Executor
from orchestrator.model.tick import Evaluation
from orchestrator.planning.plan import PlannedRun
from orchestrator.service.run_checks import capabilities_of, check_planned

# Configuration deeper than this is a mistake, and much deeper than this nothing can encode or decode it.
DEEPEST = 100

T = TypeVar("T")


class AnswerUnreadable(Exception):
    """The answer cannot be used; the message says why, for the user."""


def read_evaluation(raw: bytes) -> Evaluation:
    """An evaluation. Raises AnswerUnreadable."""
    evaluation = _decode(raw, Evaluation)
    if _brackets(raw) <= DEEPEST:  # counted in a moment, and true of nearly every answer
        return evaluation
    for request in evaluation.requests:
        if is_too_deep(request.config):
            key = f" (run key {request.run_key!r})" if request.run_key else ""
            raise AnswerUnreadable(f"The config of a RunRequest{key} is nested too deeply: more than {DEEPEST} levels.")
    return evaluation


def read_plans(raw: bytes, count: int, executor_of: Callable[[str], Executor]) -> list[PlannedRun | str]:
    """The plans for `count` requests, each a plan or what is wrong with its request: also one that its executor could
    not carry out. Raises AnswerUnreadable."""
    answers = _decode(raw, list[dict[str, msgspec.Raw]])
    if len(answers) != count:
        raise AnswerUnreadable(f"It was asked for {count} plans and answered with {len(answers)}.")
    return [_checked(_plan_or_problem(answer), executor_of) for answer in answers]


def is_too_deep(value: Any, most: int = DEEPEST) -> bool:
    """Whether dicts and lists are nested more than `most` levels deep. Does not recurse."""
    level: list[Any] = [value]
    for _ in range(most + 1):
        level = [item for one in level for item in _items(one)]
        if not level:
            return False
    return True


def _brackets(raw: bytes | msgspec.Raw) -> int:
    """How many lists and dicts the JSON text opens at most: it cannot be nested deeper."""
    text = bytes(raw)
    return text.count(b"{") + text.count(b"[")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _plan_or_problem(answer: dict[str, msgspec.Raw]) -> PlannedRun | str:
    if "planned" in answer:
        return _decode(answer["planned"], PlannedRun)
    if "problem" in answer:
        return _decode(answer["problem"], str)
    raise AnswerUnreadable("It answered with neither a plan nor a problem.")


def _checked(plan: PlannedRun | str, executor_of: Callable[[str], Executor]) -> PlannedRun | str:
    if isinstance(plan, str):
        return plan
    try:
        check_planned(plan, capabilities_of(plan, executor_of))
    except OrchestratorError as error:
        return str(error)
    return plan


def _decode(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, OverflowError) as error:
        raise AnswerUnreadable(f"It returned an invalid result: {error}") from None
