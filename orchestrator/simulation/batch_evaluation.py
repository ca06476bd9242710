"""Evaluates many occurrences of schedules in few messages. Equal answers are judged once, and memory stays bounded.
Verdicts are the daemon's own.

A schedule that hangs or ends its process costs itself its timeout and others nothing; after a few of those it is
not asked any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct, field

from orchestrator.code_locations.evaluator_pool import EvaluatorPool, Finished, wait_for_any
from orchestrator.daemon.answers import AnswerUnreadable, read_evaluation, read_plans
from orchestrator.daemon.evaluations import PLANNING_TIMEOUT_S, plan_request_of
from orchestrator.daemon.tick_results import verdict_of
from orchestrator.engine.sensor_timing import decide_requests
from orchestrator.model.states import TickState
from orchestrator.model.tick import Evaluation, Requested
from orchestrator.protocol.messages import Evaluated
from orchestrator.service.workspace import Workspace
from orchestrator.simulation.simulated_schedule import Occurrence, Said, SimulatedSchedule

# Occurrences in one message, and for how long an evaluator goes on before it answers.
_AT_ONCE = 1000
_SLICE_S = 2.0
# A schedule whose evaluations were lost this often (it hung, its process died) is not asked any more.
_MOST_LOST = 3
# Configurations that are checked, over all schedules; and of each at least.
_MOST_PLANS = 2000
_LEAST_PLANS = 20


class Batch(Struct):
    """What a schedule is asked in one window of time, and what it has answered so far."""

    lane: SimulatedSchedule
    questions: Sequence[Occurrence]
    distinct: list[Evaluation] = field(default_factory=list)
    which: list[int] = field(default_factory=list)  # of each question answered, the place of the answer in `distinct`
    asked: int = 0  # how many are in the message that is under way
    careful_until: int = 0  # up to there one by one, because something among them does harm
    keys: tuple[bytes, ...] = ()  # the plans that are asked for
    said: dict[datetime, Said] | None = None  # by occurrence, once everything is answered


class Asker:
    """Questions to the evaluators of all locations."""

    def __init__(self, workspace: Workspace, pools: Mapping[str, EvaluatorPool], lanes: int) -> None:
        self._workspace = workspace
        self._pools = pools
        self._under_way: dict[tuple[str, int], Batch] = {}
        self._lost: dict[str, int] = {}
        self._last_problem: dict[str, str] = {}
        self._checked: set[tuple[str, bytes]] = set()  # configurations, by location
        self._wrong: dict[tuple[str, bytes], str] = {}  # those of them that are wrong, and how
        self.checks_each = max(_LEAST_PLANS, _MOST_PLANS // max(1, lanes))
        self._checks: dict[str, int] = {}
        self.unchecked: set[str] = set()  # schedules of which not every configuration was checked

    def ask(self, lane: SimulatedSchedule, questions: Sequence[Occurrence]) -> Batch:
        """Begins to ask."""
        batch = Batch(lane, questions)
        self._go_on(batch)
        return batch

    def wait(self, batch: Batch) -> dict[datetime, Said]:
        """What was said of each occurrence, once all of it is there. Others under way are served meanwhile."""
        while batch.said is None:
            if not self._serve():
                wait_for_any(self._pools.values())
        return batch.said

    # --- messages ---

    def _go_on(self, batch: Batch) -> None:
        """Sends the next message of a batch, or judges what was answered."""
        lane, position = batch.lane, len(batch.which)
        if position == len(batch.questions):
            self._check(batch)
        elif self._lost.get(lane.automation.id, 0) >= _MOST_LOST:
            problem = f"It was not asked any more. Before: {self._last_problem[lane.automation.id]}"
            self._note(batch, problem, len(batch.questions) - position)
            self._check(batch)
        else:
            most = 1 if position < batch.careful_until else _AT_ONCE
            now = tuple(batch.questions[position : position + most])
            batch.asked = len(now)
            seconds = _SLICE_S if batch.asked > 1 else 0.0
            pool = self._pools[lane.automation.location]
            token = pool.evaluate_many(lane.declared.name, now, timeout=lane.declared.timeout, seconds=seconds)
            self._under_way[lane.automation.location, token] = batch

    def _serve(self) -> bool:
        served = False
        for location, pool in self._pools.items():
            for finished in pool.poll():
                batch = self._under_way.pop((location, finished.token), None)
                if batch is not None:
                    self._take(batch, finished)
                    served = True
        return served

    def _take(self, batch: Batch, finished: Finished) -> None:
        if batch.keys:
            self._take_plans(batch, finished)
            return
        if finished.result is not None:
            evaluations, which = _decoded(finished.result, batch.asked)
            start = len(batch.distinct)
            batch.distinct += evaluations
            batch.which += [start + place for place in which]
        elif batch.asked > 1:
            batch.careful_until = len(batch.which) + batch.asked
        else:
            id, problem = batch.lane.automation.id, finished.problem or "no answer"
            self._lost[id] = self._lost.get(id, 0) + 1
            self._last_problem[id] = problem
            self._note(batch, problem, 1)
        self._go_on(batch)

    def _note(self, batch: Batch, problem: str, count: int) -> None:
        batch.which += [len(batch.distinct)] * count
        batch.distinct.append(Evaluation(error=problem))

    # --- judging ---

    def _check(self, batch: Batch) -> None:
        """Has the configurations checked that were not seen before, as long as they are not too many."""
        missing = self._unknown(batch)
        if missing:
            batch.keys = missing
            token = self._pools[batch.lane.automation.location].make_plans(missing, timeout=PLANNING_TIMEOUT_S)
            self._under_way[batch.lane.automation.location, token] = batch
        else:
            self._judge(batch)

    def _unknown(self, batch: Batch) -> tuple[bytes, ...]:
        id, location = batch.lane.automation.id, batch.lane.automation.location
        missing: dict[bytes, None] = {}
        for evaluation in batch.distinct:
            for request in evaluation.requests:
                if self._checks.get(id, 0) >= self.checks_each:
                    self.unchecked.add(id)
                    return tuple(missing)
                key = self._key(batch.lane, request)
                if (location, key) not in self._checked and key not in missing:
                    missing[key] = None
                    self._checks[id] = self._checks.get(id, 0) + 1
        return tuple(missing)

    def _key(self, lane: SimulatedSchedule, request: Requested) -> bytes:
        return msgspec.json.encode(
            plan_request_of(self._workspace, request, lane.declared.pipeline, lane.declared.mode)
        )

    def _take_plans(self, batch: Batch, finished: Finished) -> None:
        location = batch.lane.automation.location
        if finished.result is None:
            answers: list[str | None] = [finished.problem or "no answer"] * len(batch.keys)
        else:
            answers = _problems(finished.result, len(batch.keys), self._workspace)
        for key, problem in zip(batch.keys, answers, strict=True):
            self._checked.add((location, key))
            if problem is not None:
                self._wrong[location, key] = problem
        self._judge(batch)

    def _judge(self, batch: Batch) -> None:
        judged = [self._said(batch.lane, evaluation) for evaluation in batch.distinct]
        batch.said = {question[1]: judged[place] for question, place in zip(batch.questions, batch.which, strict=True)}

    def _said(self, lane: SimulatedSchedule, evaluation: Evaluation) -> Said:
        requests = evaluation.requests
        if len(requests) == 1 and evaluation.error is None and not self._wrong:
            return Said(TickState.SUCCESS, requests)  # what follows says the same, in more time
        decision = decide_requests(requests, ())
        problems = [problem for request in decision.fresh if (problem := self._problem(lane, request))]
        verdict = verdict_of(lane.automation, evaluation, decision, problems)
        fresh = decision.fresh if verdict.status is TickState.SUCCESS else ()
        return Said(verdict.status, fresh, verdict.error, verdict.skip_reason)

    def _problem(self, lane: SimulatedSchedule, request: Requested) -> str | None:
        return self._wrong.get((lane.automation.location, self._key(lane, request)))


def _decoded(result: bytes, asked: int) -> tuple[list[Evaluation], tuple[int, ...]]:
    """The different answers, and for each occurrence the place of its own among them."""
    try:
        answer = msgspec.json.decode(result, type=Evaluated)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        return [Evaluation(error=f"It returned an invalid result: {error}")], (0,) * asked
    if not 0 < len(answer.which) <= asked or not all(0 <= place < len(answer.evaluations) for place in answer.which):
        return [Evaluation(error="It returned an invalid result: it is not about what was asked.")], (0,) * asked
    found = []
    for one in answer.evaluations:
        try:
            found.append(read_evaluation(bytes(one)))
        except AnswerUnreadable as error:
            found.append(Evaluation(error=str(error)))
    return found, answer.which


def _problems(result: bytes, asked: int, workspace: Workspace) -> list[str | None]:
    try:
        return [plan if isinstance(plan, str) else None for plan in read_plans(result, asked, workspace.executor)]
    except AnswerUnreadable as error:
        return [str(error)] * asked
