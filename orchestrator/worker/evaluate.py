"""Evaluates a schedule or sensor once in this process. Whatever user code does short of ending the process becomes an
answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.clock import monotonic
from orchestrator.cron import load_zone
from orchestrator.definitions.automation_contexts import Assets, Find, ScheduleContext, SensorContext
from orchestrator.definitions.automations import AutomationDefinition
from orchestrator.definitions.requests import RunRequest, SkipReason, requests_of
from orchestrator.masking import Masker
from orchestrator.model.asset import asset_name
from orchestrator.model.automation import ScheduleInfo, SensorInfo
from orchestrator.model.delivery import RunEnding
from orchestrator.model.run import ALERTS_TAG
from orchestrator.model.tick import Evaluation, Requested
from orchestrator.protocol.messages import Evaluate, Evaluated, EvaluateMany
from orchestrator.typed import escaped
from orchestrator.worker.errors import load_traceback
from orchestrator.worker.library_logs import PrintingHandler

_ONE_CALL: list[tuple[Any, ...]] = [()]
_encode = msgspec.json.Encoder().encode

Answers = list[tuple[tuple[Requested, ...], str | None]]


def evaluate(definition: AutomationDefinition, question: Evaluate, find: Find) -> Evaluation:
    """What user code answers. An exception of any kind becomes the answer's `error`."""
    return _evaluation(definition, _context(definition, question, find), _calls(definition, question))


def with_alerts(evaluation: Evaluation, alert: str, runs: Sequence[RunEnding]) -> Evaluation:
    """The answer of an alert about `runs`. What it asks for remembers this alert and those that led to these
    runs: none of them is called for it."""
    before = [name for run in runs for name in run.tags.get(ALERTS_TAG, "").split()]
    alerts = {ALERTS_TAG: " ".join(dict.fromkeys([*before, alert]))}
    asked = tuple(msgspec.structs.replace(request, tags={**request.tags, **alerts}) for request in evaluation.requests)
    return msgspec.structs.replace(evaluation, requests=asked)


def masked(evaluation: Evaluation, mask: Masker) -> Evaluation:
    """The answer without secrets in the words of user code and in tags. What names something stays: run keys, the
    cursor, and the configuration, in which a secret would have to stand to be used."""
    if not mask:
        return evaluation
    said = {name: getattr(evaluation, name) for name in ("error", "skip_reason", "output")}
    requests = tuple(
        msgspec.structs.replace(one, tags={_hidden(key, mask): _hidden(value, mask) for key, value in one.tags.items()})
        for one in evaluation.requests
    )
    return msgspec.structs.replace(
        evaluation, requests=requests, **{name: mask(text) for name, text in said.items() if text}
    )


def _hidden(value: Any, mask: Masker) -> Any:
    return mask(value) if isinstance(value, str) else value


def evaluate_many(definition: AutomationDefinition, question: EvaluateMany, mask: Masker) -> bytes:
    """An `Evaluated` about as many occurrences as there was time for, as JSON."""
    assert isinstance(definition.info, ScheduleInfo)
    zone, logger = load_zone(definition.info.timezone), _logger()
    places: dict[bytes, int] = {}
    which: list[int] = []
    deadline = monotonic() + question.seconds
    for at, scheduled_at in question.occurrences:
        if which and monotonic() > deadline:
            break
        context = ScheduleContext(scheduled_at.astimezone(zone), definition.name, at, logger)
        answer = _written(masked(_evaluation(definition, context, _ONE_CALL), mask), mask)
        which.append(places.setdefault(answer, len(places)))
    return _encode(Evaluated(tuple(map(msgspec.Raw, places)), tuple(which)))


def encoded(value: Any) -> bytes:
    """The value as JSON. Text that is not UTF-8 is escaped: one odd file name must not fail the whole answer."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(escaped(msgspec.to_builtins(value)))


def _written(evaluation: Evaluation, mask: Masker) -> bytes:
    try:
        return encoded(evaluation)
    except (TypeError, ValueError, OverflowError) as error:  # user code can put anything into config or tags
        return _encode(Evaluation(error=mask(f"The answer cannot be written down: {error}")))


def _evaluation(
    definition: AutomationDefinition, context: ScheduleContext | SensorContext, calls: list[tuple[Any, ...]]
) -> Evaluation:
    answers: Answers = []
    errors: list[str] = []
    for arguments in calls:
        try:
            answers.append(_ask(definition, context, arguments))
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: they are user code's failure
            errors.append(load_traceback(error))
            if not isinstance(definition.info, SensorInfo) or definition.info.kind != "run_status_sensor":
                break
    requests = tuple(request for wanted, _ in answers for request in wanted)
    reasons = [reason for _, reason in answers if reason]
    return Evaluation(
        requests=() if errors else requests,
        skip_reason="; ".join(reasons) or None,
        cursor=getattr(context, "cursor", None),
        error="\n".join(errors) or None,
    )


def _calls(definition: AutomationDefinition, question: Evaluate) -> list[tuple[Any, ...]]:
    """The further arguments of each call that the question takes."""
    info = definition.info
    if isinstance(info, ScheduleInfo) or info.kind == "sensor":
        return _ONE_CALL
    if info.kind == "run_status_sensor":
        return [(run,) for run in question.runs]
    found = [numbered.materialization for numbered in question.materializations]
    if info.require == "all" and len(info.assets) > 1:
        return [({asset_name(one.asset): one for one in found},)]
    return [(one,) for one in found]


def _ask(
    definition: AutomationDefinition, context: Any, arguments: tuple[Any, ...]
) -> tuple[tuple[Requested, ...], str | None]:
    takes_context = bool(arguments) or definition.takes_context
    result = definition.function(*([context] if takes_context else []), *arguments)
    is_schedule = isinstance(definition.info, ScheduleInfo)
    if isinstance(definition.info, SensorInfo) and definition.info.kind == "run_status_sensor":
        result = result if definition.info.pipeline or _is_answer(result) else None
    return requests_of(result, who=str(definition), where=definition.info.where, none_means_run=is_schedule)


def _is_answer(result: Any) -> bool:
    """Whether an alert's function, which may return whatever it likes, has answered."""
    if isinstance(result, (RunRequest, SkipReason)):
        return True
    return hasattr(result, "__iter__") and not isinstance(result, (str, bytes, Mapping))


def _context(definition: AutomationDefinition, question: Evaluate, find: Find) -> ScheduleContext | SensorContext:
    if isinstance(definition.info, ScheduleInfo):
        assert question.scheduled_at is not None
        zone = load_zone(definition.info.timezone)
        return ScheduleContext(question.scheduled_at.astimezone(zone), definition.name, question.at, _logger())
    return SensorContext(
        cursor=question.cursor,
        last_run_key=question.last_run_key,
        last_tick_at=question.last_tick_at,
        name=definition.name,
        now=question.at,
        log=_logger(),
        assets=Assets(find),
        attempt=question.attempt,
        delivery_key=question.delivery_key,
    )


def _logger() -> logging.Logger:
    """A logger whose lines are part of what the evaluation printed."""
    logger = logging.Logger("orchestrator.evaluation", logging.DEBUG)
    logger.addHandler(PrintingHandler("%(levelname)s %(message)s"))
    return logger
