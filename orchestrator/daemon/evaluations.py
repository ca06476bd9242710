"""Asks user code without waiting for it: first what it wants, then plans for what is new in that. Each question knows
who takes its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.catalog.assets import materializations_after
from orchestrator.catalog.automations import used_keys
from orchestrator.catalog.session import Store
from orchestrator.clock import monotonic
from orchestrator.crashpoints import crash_point
from orchestrator.daemon.answers import AnswerUnreadable, read_evaluation, read_plans
from orchestrator.daemon.location import Location
from orchestrator.daemon.locations import Locations
from orchestrator.engine.sensor_timing import RequestDecision, decide_requests
from orchestrator.errors import FirstError
from orchestrator.model.tick import Evaluation, Requested, dedupe_key
from orchestrator.planning.plan import PlannedRun, PlanRequest
from orchestrator.protocol.messages import FindAsset, FoundAsset
from orchestrator.service.workspace import Workspace, in_workspace

Take = Callable[["Answered", datetime], None]

# Making plans runs user code too (validators), and a tick may ask for thousands.
PLANNING_TIMEOUT_S = 120.0
_encode = msgspec.json.Encoder().encode


class Planned(Struct, frozen=True):
    """A request with the plan of the run that it means, or what is wrong with it."""

    request: Requested
    run: PlannedRun | None
    problem: str | None = None


class Asked(Struct):
    """One question on its way. `subject` is the asker's own, and `take` is called with the answer."""

    id: str
    location: str
    subject: Any
    take: Take
    timeout: float
    started: float
    pipeline: str | None
    mode: str | None
    scheduled_at: datetime | None = None
    token: int = -1
    evaluation: Evaluation | None = None
    decision: RequestDecision | None = None
    keys: list[bytes] = field(default_factory=list)
    missing: list[bytes] = field(default_factory=list)


class Answered(Struct, frozen=True):
    """What came of a question: an evaluation with plans for its fresh requests, or why there is none."""

    id: str
    subject: Any
    take: Take
    seconds: float
    evaluation: Evaluation | None
    decision: RequestDecision | None = None
    planned: tuple[Planned, ...] = ()
    problem: str | None = None

    def deliver(self, now: datetime) -> None:
        """Passes the answer to the callback of its request. Raises what the callback raises."""
        crash_point("tick.evaluated")
        self.take(self, now)


class Evaluations:
    """All questions under way. `on_lost` is called when questions count as never put, so that they are put again."""

    def __init__(
        self,
        workspace: Workspace,
        locations: Locations,
        store: Store,
        on_lost: Callable[[], None],
    ) -> None:
        self._workspace = workspace
        self._locations = locations
        self._store = store
        self._on_lost = on_lost
        self._under_way: dict[str, Asked] = {}
        self._answers: list[Answered] = []

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come, or to be fetched."""
        return bool(self._under_way or self._answers)

    def is_asked(self, id: str) -> bool:
        """Whether this schedule or sensor is being asked just now: one question at a time."""
        return id in self._under_way

    def ask(
        self,
        id: str,
        location: Location,
        subject: Any,
        take: Take,
        *,
        timeout: float,
        pipeline: str | None,
        mode: str | None,
        scheduled_at: datetime | None = None,
        **question: Any,
    ) -> None:
        """Puts a question; the answer comes out of `answers`, once, and goes to `take`."""
        assert location.evaluators is not None
        asked = Asked(id, location.name, subject, take, timeout, monotonic(), pipeline, mode, scheduled_at)
        if scheduled_at is not None:
            question["scheduled_at"] = scheduled_at
        asked.token = location.evaluators.evaluate(timeout=timeout, **question)
        self._under_way[id] = asked
        crash_point("tick.asked")

    def forget_all(self) -> None:
        """Takes no answer to what was asked so far: it was asked in the light of something that is not so."""
        self._under_way.clear()
        self._answers.clear()
        self._on_lost()

    def answers(self) -> list[Answered]:
        """What has been answered since this was last asked. Raises the first error that was met (a store that cannot be
        read): a question whose answer could not be taken in counts as never put, an evaluator that wants to know
        something is answered next time, and so are the others."""
        by_token = {(asked.location, asked.token): asked for asked in self._under_way.values()}
        errors = FirstError()
        for location in self._locations.all.values():
            pool = location.evaluators
            if pool is None:
                continue
            for finished in pool.poll():
                asked = by_token.get((location.name, finished.token))
                if asked is None:
                    continue
                try:
                    self._take(asked, location, finished.result, finished.problem)
                except Exception as error:
                    self._under_way.pop(asked.id, None)
                    self._on_lost()
                    errors.keep(error)
            try:
                pool.answer_questions(self._find_asset)
            except Exception as error:
                errors.keep(error)
        self._give_up_on_lost()
        errors.raise_if_any()
        answers, self._answers = self._answers, []
        return answers

    def next_deadline(self) -> float | None:
        """Seconds of the monotonic clock at which something times out."""
        deadlines = [
            deadline
            for location in self._locations.all.values()
            if location.evaluators is not None and (deadline := location.evaluators.next_deadline()) is not None
        ]
        return min(deadlines, default=None)

    # --- inside ---

    def _take(self, asked: Asked, location: Location, result: bytes | None, problem: str | None) -> None:
        if result is None:
            asked.evaluation = asked.decision = None  # lost while plans were made, it is as good as never evaluated
            self._finish(asked, problem=problem or "no answer")
        elif asked.evaluation is None:
            try:
                asked.evaluation = read_evaluation(result)
            except AnswerUnreadable as error:
                self._finish(asked, problem=str(error))
                return
            self._judge_requests(asked, location)
        else:
            try:
                plans = read_plans(result, len(asked.missing), self._workspace.executor)
            except AnswerUnreadable as error:
                asked.evaluation = asked.decision = None
                self._finish(asked, problem=str(error))
                return
            location.plans.update(zip(asked.missing, plans, strict=True))
            self._finish_planned(asked, location)

    def _judge_requests(self, asked: Asked, location: Location) -> None:
        assert asked.evaluation is not None
        if asked.evaluation.error is not None or not asked.evaluation.requests:
            self._finish(asked)
            return
        asked.decision = self._judge(asked, asked.evaluation.requests)
        nameless = next((r for r in asked.decision.fresh if not (r.pipeline or asked.pipeline)), None)
        if nameless is not None:
            self._finish(
                asked, problem="A run was requested and no pipeline is named, neither in it nor in the definition."
            )
            return
        asked.keys = self._plan_keys(asked, asked.decision.fresh)
        asked.missing = [key for key in dict.fromkeys(asked.keys) if key not in location.plans]
        if not asked.missing:
            self._finish_planned(asked, location)
            return
        assert location.evaluators is not None
        asked.token = location.evaluators.make_plans(tuple(asked.missing), timeout=PLANNING_TIMEOUT_S)

    def _judge(self, asked: Asked, requests: Sequence[Requested]) -> RequestDecision:
        """Tells new requests from those whose keys were used before."""

        def key_of(request: Requested) -> str | None:
            return dedupe_key(request.run_key, asked.scheduled_at)

        keys = [key for request in requests if (key := key_of(request)) is not None]
        return decide_requests(requests, self._store(used_keys, asked.id, keys), key_of)

    def _plan_keys(self, asked: Asked, requests: Sequence[Requested]) -> list[bytes]:
        """What has to be asked for each request's plan. A thousand requests differ in their config, if at all."""
        alike: dict[tuple[str | None, str | None, str | None], PlanRequest] = {}
        keys = []
        for request in requests:
            what = (request.pipeline, request.mode, request.preset)
            if what not in alike:
                alike[what] = plan_request_of(self._workspace, request, asked.pipeline, asked.mode)
            keys.append(_encode(replace(alike[what], config=request.config)))
        return keys

    def _finish_planned(self, asked: Asked, location: Location) -> None:
        assert asked.decision is not None
        planned = []
        for request, key in zip(asked.decision.fresh, asked.keys, strict=True):
            plan = location.plans[key]
            planned.append(Planned(request, None, plan) if isinstance(plan, str) else Planned(request, plan))
        for key in asked.missing:  # what is wrong is asked again: it may depend on the environment or on files
            if isinstance(location.plans[key], str) or len(location.plans) > 1000:
                del location.plans[key]
        self._finish(asked, planned=tuple(planned))

    def _finish(self, asked: Asked, *, problem: str | None = None, planned: tuple[Planned, ...] = ()) -> None:
        del self._under_way[asked.id]
        seconds = monotonic() - asked.started
        self._answers.append(
            Answered(asked.id, asked.subject, asked.take, seconds, asked.evaluation, asked.decision, planned, problem)
        )

    def _give_up_on_lost(self) -> None:
        """Forgets questions whose location was reloaded meanwhile: they are put again to the new code, as if never
        asked, because nothing has come of them yet."""
        for asked in list(self._under_way.values()):
            location = self._locations.all.get(asked.location)
            if location is None or location.evaluators is None or not location.evaluators.knows(asked.token):
                del self._under_way[asked.id]
                self._on_lost()

    def _find_asset(self, question: FindAsset) -> FoundAsset:
        return find_asset(self._store, question)


def find_asset(store: Store, question: FindAsset) -> FoundAsset:
    """What the catalog holds for a sensor that looks into it by itself."""
    return FoundAsset(tuple(store(materializations_after, [question.asset], question.after, question.limit, True)))


def plan_request_of(workspace: Workspace, request: Requested, pipeline: str | None, mode: str | None) -> PlanRequest:
    """The plan that a request means; it may leave the pipeline, and its mode, to the definition."""
    return in_workspace(
        workspace,
        PlanRequest(
            pipeline=request.pipeline or pipeline or "",
            mode=request.mode or (None if request.pipeline else mode),
            preset=request.preset,
            config=request.config,
        ),
    )
