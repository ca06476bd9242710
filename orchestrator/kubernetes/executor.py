"""The executor `kubernetes`: each attempt is a Job with one pod.

Nothing here blocks: requests are made by threads, two watches keep a copy of our pods, and `poll` only looks at that.
An API server that cannot be reached changes nothing about an attempt: it is asked again until it answers.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from orchestrator import clock
from orchestrator.attempts.observation import FINAL, Observation, Phase
from orchestrator.errors import ClusterUnreachable, ExecutionError, shortened
from orchestrator.executors.base import Attempt, Capabilities, ExecutorContext
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.cluster_view import ClusterView
from orchestrator.kubernetes.configuration import code_of, job_settings
from orchestrator.kubernetes.facts import PodFacts, Stage, waits_for
from orchestrator.kubernetes.jobs import Jobs, units_of
from orchestrator.kubernetes.log_follower import LogFollower
from orchestrator.kubernetes.names import job_name
from orchestrator.kubernetes.orders import AGAIN, Orders
from orchestrator.kubernetes.outcome import finished, is_end_of, lines_of_block, says_it_began, with_place
from orchestrator.kubernetes.pod_log import PodLogs
from orchestrator.kubernetes.pod_request import by_digest
from orchestrator.kubernetes.tracked import Tracked, judge_uncreated, judge_waiting
from orchestrator.model.attempt import Place, split_handle
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import AttemptStarted
from orchestrator.model.executor_health import ExecutorHealth

# Requests at a time. A cluster takes far more; more threads would only wait for each other here.
_THREADS = 16
_SWEEP = timedelta(seconds=1)
# How long an owner that ends waits for deletions that the API server does not answer.
_CLOSE_S = 10.0
_MOST_REASONS = 5
# How long a known outcome waits for a log that cannot be read, or is not complete: the kubelet may be dead or busy.
_LOG_PATIENCE = timedelta(seconds=15)

T = TypeVar("T")


class KubernetesExecutor:
    """Attempts as Jobs of one cluster. Threads and watches begin with the first attempt."""

    name = "kubernetes"

    def __init__(self, context: ExecutorContext) -> None:
        settings = context.settings.kubernetes
        self._context = context
        self._settings = settings
        has_storage = settings.storage is not None
        self.capabilities = Capabilities(spread="anywhere", storage="anywhere" if has_storage else "machine")
        self._client = Client.find(settings.context, settings.namespace)
        self._tracked: dict[str, Tracked] = {}
        self._waiting: deque[str] = deque()  # Jobs that are not created yet because there are enough
        self._followed: dict[str, datetime] = {}  # runs that are watched, until when
        self._follower: LogFollower | None = None
        self._logs: PodLogs | None = None
        self._unrecorded: dict[str, tuple[str, float]] = {}  # ended attempts: the Job, and how long it is kept
        self._kept: dict[str, set[str]] = {}  # by run: Jobs that the cluster deletes later
        self._orders: Orders | None = None
        self._view: ClusterView | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._jobs: Jobs | None = None
        self._sweep = clock.Every(_SWEEP)

    # --- the interface ---

    def launch(self, attempt: Attempt) -> str:
        if attempt.handle not in self._tracked:
            code_of(self._context.settings, attempt.location)  # refused at once when it has no image
            self._context.channels.prepare(attempt.handle)
            self._track(attempt, seen=0)
            self._waiting.append(attempt.handle)
            self._create_waiting()
        return attempt.handle

    def adopt(self, attempt: Attempt, seen: int) -> str:
        self._context.channels.prepare(attempt.handle)
        self._ask(self._track(attempt, seen), self._find)
        return attempt.handle

    def check(self, attempts: Sequence[Attempt]) -> None:
        settings = job_settings(self._context.settings, self._client.access.namespace)
        units = units_of(self._client, settings, self._context)
        for attempt in attempts:
            units.check(attempt)

    def poll(self) -> dict[str, Observation]:
        if self._view is None:
            return {}
        now = clock.now()
        handles = self._view.changed() & self._tracked.keys()
        if self._sweep.is_due(now):
            self._sweep.done(now)
            handles = set(self._tracked)
            assert self._orders is not None
            self._orders.turn(now)
            self._follow_output(now)
        self._create_waiting()
        found = {handle: self._observe(self._tracked[handle], now) for handle in sorted(handles)}
        for handle, seen in found.items():
            if seen.phase in FINAL:
                self._forget(handle, seen)
        return found

    def cancel(self, handle: str, grace: float) -> None:
        tracked = self._tracked.get(handle)
        if tracked is None:
            return
        now = clock.now()
        until = now + timedelta(seconds=grace)
        if tracked.stop_at is not None and tracked.stop_at <= until:
            return
        tracked.stop_at = until
        if handle in self._waiting:
            self._waiting.remove(handle)
        elif self._jobs is not None and self._orders is not None:
            self._orders.give(partial(self._jobs.stop, tracked.name, self._pod_name(handle), grace), now)
        if self._view is not None:
            self._view.hint(handle)

    def recorded(self, handle: str) -> None:
        """Has the Job of an attempt deleted whose outcome is in the journal; that of one that failed, later."""
        name, keep = self._unrecorded.pop(handle, (None, 0.0))
        if name is not None and self._jobs is not None and self._orders is not None:
            if keep:
                self._kept.setdefault(split_handle(handle)[0], set()).add(name)
            self._orders.give(partial(self._jobs.dismiss, name, keep), clock.now())

    def end_run(self, run_id: str) -> None:
        self._start()  # an earlier owner may have left something, also of a run that was over when it was resumed
        if self._jobs is not None and self._orders is not None:
            kept = frozenset(self._kept.pop(run_id, ()))
            self._orders.give(partial(self._jobs.end_run, run_id, kept), clock.now())

    def close(self) -> None:
        if self._threads is not None and self._view is not None and self._orders is not None:
            self._orders.finish(_CLOSE_S)
            self._view.close()
            self._threads.shutdown()

    def follow(self, run_id: str, until: datetime) -> None:
        self._followed[run_id] = until

    def health(self) -> ExecutorHealth | None:
        if self._view is None:
            return None
        pods = self._view.pods
        reasons = Counter(self._why(one) for one in self._tracked.values() if not one.seen)
        return ExecutorHealth(
            name=self.name,
            place=f"{self._client.access.server}, namespace {self._client.access.namespace}",
            running=sum(one.seen > 0 for one in self._tracked.values()),
            waiting=reasons.total(),
            reasons=dict(reasons.most_common(_MOST_REASONS)),
            problem=pods.problem,
            since=pods.unreachable_since if pods.problem else pods.reachable_since,
        )

    def descriptors(self) -> Iterable[int]:
        return () if self._view is None else (self._view.wake,)

    # --- inside ---

    def _start(self) -> ClusterView:
        if self._view is None:
            settings = job_settings(self._context.settings, self._client.access.namespace)
            self._jobs = units_of(self._client, settings, self._context)
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kubernetes")
            self._orders = Orders(self._threads)
            self._follower = LogFollower(self._client, settings.namespace, self._context.channels)
            self._logs = PodLogs(self._client, settings.namespace)
            self._view = ClusterView(self._client, settings.namespace, settings.instance)
            self._view.start()
        return self._view

    def _track(self, attempt: Attempt, seen: int) -> Tracked:
        self._start()
        assert self._jobs is not None
        assert self._view is not None
        name = job_name(self._jobs.settings.instance, attempt.handle)
        tracked = Tracked(attempt, name, secrets.token_hex(8), clock.now(), seen)
        self._tracked[attempt.handle] = tracked
        self._view.follow(attempt.handle)
        return tracked

    def _submit(self, handle: str, work: Callable[[], T]) -> Future[T]:
        """Has a thread do something about an attempt, which is looked at again as soon as that is done: not before, or
        the look would find it unfinished, and the next one comes a second later."""
        assert self._threads is not None
        assert self._view is not None
        view = self._view
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: view.hint(handle))
        return future

    def _ask(self, tracked: Tracked, work: Callable[[Tracked], None]) -> None:
        """Creates or finds the Job of an attempt: `work` says which."""
        tracked.again, tracked.again_at = work, None
        tracked.request = self._submit(tracked.attempt.handle, partial(work, tracked))

    def _create_waiting(self) -> None:
        if not self._waiting:
            return
        room = self._settings.max_concurrent_jobs - sum(one.request is not None for one in self._tracked.values())
        while self._waiting and room > 0:
            self._ask(self._tracked[self._waiting.popleft()], self._create)
            room -= 1

    def _create(self, tracked: Tracked) -> None:
        assert self._jobs is not None
        tracked.token = self._jobs.create(tracked.attempt, tracked.token)
        tracked.is_created = True

    def _find(self, tracked: Tracked) -> None:
        assert self._jobs is not None
        assert self._view is not None
        found = self._jobs.find(tracked.name)
        if found is not None:
            if not self._view.pods.is_synced.wait(60):  # its pod is known then, if there is one
                raise ClusterUnreachable("The pods of the cluster could not be listed.")
            tracked.token, tracked.is_over = found
            tracked.is_created = True

    def _observe(self, tracked: Tracked, now: datetime) -> Observation:
        assert self._view is not None
        handle = tracked.attempt.handle
        if tracked.ending is not None:
            return self._ended(tracked)
        problem = self._request_problem(tracked, now)
        if problem is not None:
            return problem
        facts, is_gone = self._view.pod(handle)
        if not tracked.is_created:
            return self._uncreated(tracked)
        if facts is not None and facts.started_at is not None and not tracked.seen and not says_it_began(facts):
            self._view.hint(handle)  # it may have ended already: that it began comes first
            return self._began(tracked, facts)
        if facts is not None and (facts.stage is Stage.ENDED or is_gone):
            tracked.ended_at = tracked.ended_at or now
            tracked.ending = self._submit(handle, partial(self._finish, tracked, facts, is_gone, now))
            return Observation(Phase.RUNNING)
        if facts is not None and facts.stage is Stage.RUNNING:
            return Observation(Phase.RUNNING)
        return self._waits(tracked, facts, now)

    def _request_problem(self, tracked: Tracked, now: datetime) -> Observation | None:
        """What came of creating or finding the Job, when it was not that."""
        request = tracked.request
        if request is None or not request.done() or request.exception() is None:
            return None
        error = request.exception()
        if isinstance(error, ClusterUnreachable):
            # Whether it was done all the same is found out with the next try: the name is the same.
            if tracked.again_at is None:
                tracked.again_at = now + AGAIN
            if tracked.stop_at is not None and tracked.again == self._create:
                stopped = Observation(Phase.REVOKED, reason="it was asked to stop before its Job was created")
                return self._gives_up(tracked, stopped)
            if now >= tracked.again_at and tracked.again is not None:
                self._ask(tracked, tracked.again)
            return Observation(Phase.UNKNOWN, reason=str(error))
        message = getattr(error, "message", str(error))
        hint = getattr(error, "hint", None)
        text = f"its Job was refused: {message}" + (f" {hint}" if hint else "")
        return Observation(Phase.FAILED, error=ErrorInfo("KubernetesRefused", text), reason=text)

    def _uncreated(self, tracked: Tracked) -> Observation:
        seen = judge_uncreated(tracked, self._settings.max_concurrent_jobs)
        return self._gives_up(tracked, seen) if seen.phase in FINAL and tracked.request is not None else seen

    def _began(self, tracked: Tracked, facts: PodFacts) -> Observation:
        """An attempt that has begun. Its own events come when it has ended; this stands for the first of them, so that
        timeouts count from here."""
        assert self._view is not None
        tracked.seen = 1
        spec = tracked.attempt.package.spec
        began = AttemptStarted(
            at=clock.now(),  # and not by the clock of the cluster, which may be wrong: timeouts count from here
            step=spec.step,
            attempt=spec.attempt,
            n=0,
            pid=1,
            host=facts.name,
            post_mortem=spec.post_mortem is not None,
            place=self._place(facts),
        )
        return Observation(Phase.RUNNING, (began,))

    def _place(self, facts: PodFacts) -> Place:
        assert self._view is not None
        image = by_digest(facts.image or "", facts.image_id)
        return Place(facts.name, facts.node or "", image, self._view.pulled_s(facts.name))

    def _waits(self, tracked: Tracked, facts: PodFacts | None, now: datetime) -> Observation:
        seen = judge_waiting(tracked, facts, self._warning(tracked, facts), now, self._settings.start_timeout)
        return self._gives_up(tracked, seen) if seen.phase in FINAL else seen

    def _gives_up(self, tracked: Tracked, seen: Observation) -> Observation:
        """Has the attempt taken from its pod, which may still begin, before anything is said of its end."""
        tracked.ending = self._submit(tracked.attempt.handle, partial(self._take_away, tracked, seen))
        return Observation(Phase.PENDING)

    def _take_away(self, tracked: Tracked, seen: Observation) -> Observation:
        assert self._jobs is not None
        self._jobs.take_away(tracked.attempt)
        return seen

    def _finish(self, tracked: Tracked, facts: PodFacts, is_gone: bool, now: datetime) -> Observation:
        assert self._jobs is not None
        log, is_whole = (b"", False) if is_gone else self._log(tracked, facts, now)
        stopped = tracked.stop_at is not None
        outcome = finished(
            tracked.attempt.handle, facts, log, tracked.token, tracked.seen, was_stopped=stopped, is_gone=is_gone
        )
        if not tracked.seen:
            outcome = replace(outcome, observation=with_place(outcome.observation, self._place(facts)))
        if not outcome.is_whole and not is_gone and now - (tracked.ended_at or now) < _LOG_PATIENCE:
            raise ClusterUnreachable("Its last events are not in its log yet.")
        if is_gone or outcome.observation.phase is Phase.LOST:
            self._jobs.take_away(tracked.attempt)  # its container may still run on a node that was given up
        if not is_whole:
            self._context.channels.keep_output(tracked.attempt.handle, outcome.printed)
        return outcome.observation

    def _log(self, tracked: Tracked, facts: PodFacts, now: datetime) -> tuple[bytes, bool]:
        """What is read of the log of a pod that has ended, and whether all that the step printed is here already.
        Raises ClusterUnreachable while it cannot be read; for a while only, if the step's outcome is known without."""
        assert self._logs is not None
        assert self._follower is not None
        copied = self._follower.settle(tracked.attempt.handle)
        block = lines_of_block(facts)
        try:
            if copied is not None:
                log = self._logs.tail(facts.name, block)
                if is_end_of(copied, log, tracked.token):
                    return log, True
            return self._logs.newest(facts.name), False
        except ClusterUnreachable as error:
            if block or now - (tracked.ended_at or now) < _LOG_PATIENCE:
                raise
            return f"[orchestrator: what the step printed could not be read: {error.message}]\n".encode(), False

    def _ended(self, tracked: Tracked) -> Observation:
        assert tracked.ending is not None
        if not tracked.ending.done():
            return Observation(Phase.RUNNING if tracked.seen else Phase.PENDING)
        try:
            return tracked.ending.result()
        except (ExecutionError, OSError) as error:
            tracked.ending = None  # it is read again with the next look
            return Observation(Phase.UNKNOWN, reason=str(error))

    def _why(self, tracked: Tracked) -> str:
        """What an attempt waits for, in a few words."""
        assert self._view is not None
        if tracked.request is None:
            return "max_concurrent_jobs"
        facts, _ = self._view.pod(tracked.attempt.handle)
        return shortened(waits_for(facts, self._warning(tracked, facts)), 100)

    def _warning(self, tracked: Tracked, facts: PodFacts | None) -> str:
        """The newest warning of the cluster about an attempt's pod, else about its Job."""
        assert self._view is not None
        return self._view.warning(*([facts.name] if facts else []), tracked.name)

    def _follow_output(self, now: datetime) -> None:
        assert self._follower is not None
        self._followed = {run_id: until for run_id, until in self._followed.items() if until > now}
        for handle, tracked in self._tracked.items():
            if tracked.attempt.package.run.run_id in self._followed and tracked.seen and tracked.ending is None:
                pod = self._pod_name(handle)
                if pod is not None:
                    self._follower.follow(handle, pod, tracked.token)

    def _pod_name(self, handle: str) -> str | None:
        facts = None if self._view is None else self._view.pod(handle)[0]
        return None if facts is None else facts.name

    def _forget(self, handle: str, seen: Observation) -> None:
        assert self._view is not None
        assert self._follower is not None
        tracked = self._tracked.pop(handle)
        self._follower.forget(handle)
        self._view.forget(handle, tracked.name)
        if tracked.request is not None:
            is_kept = seen.phase is Phase.FAILED and tracked.stop_at is None
            self._unrecorded[handle] = (tracked.name, self._settings.keep_failed if is_kept else 0.0)
