"""An executor for Slurm, or what has its commands, where all machines see the files of the owner of runs.

Each attempt is a job, whose name comes from the attempt's handle, so that any owner finds it. A job that was submitted
twice does no harm, because only one process can claim the attempt. What attempts record and print arrives by the shared
files. The commands say what files cannot: what a job waits for, and how one ended that recorded nothing.

The commands run in one thread, one turn after another, because a daemon must not wait for them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic

from msgspec import Struct, field
from msgspec.structs import replace

from batch.slurm import NOT_THE_STEPS, Answer, BatchError, Job, Order, Slurm, carry_out
from orchestrator.attempts.channel import OwnerChannel
from orchestrator.attempts.observation import FINAL, Observation, Phase, death
from orchestrator.executors.base import Attempt, Capabilities, ExecutorContext
from orchestrator.executors.command import AttemptCommand, attempt_command
from orchestrator.model.error_info import OUT_OF_MEMORY, ErrorInfo
from orchestrator.model.executor_health import ExecutorHealth


class Watched(Struct):
    """An attempt that is watched. `command` is there until the batch system has the job."""

    attempt: Attempt
    channel: OwnerChannel
    command: AttemptCommand | None = None
    was_submitted: bool = False
    refusals: list[str] = field(default_factory=list)
    job: Job | None = None
    gone_since: float | None = None  # no job of it lives
    stop_at: float | None = None
    was_asked: bool = False

    def order(self) -> Order:
        lives = self.job is not None and not self.job.is_over
        if self.stop_at is not None and lives:
            return Order("end" if monotonic() >= self.stop_at else "look" if self.was_asked else "ask to stop")
        if self.command is not None and self.stop_at is None:
            tags = self.attempt.tags.items()  # @step(tags={"slurm/partition": "long"})
            options = tuple(f"--{name[6:]}={value}" for name, value in tags if name.startswith("slurm/"))
            return Order("submit", self.command, options)
        return Order()

    def take(self, order: Order, answer: Answer, name: str) -> None:
        """Takes in what became of an order."""
        self.job = answer.jobs.get(name)
        problem = answer.problems.get(name)
        if order.what == "submit" and self.job is None:
            self.was_submitted = problem is None
            self.command = None if problem is None else self.command
            self.refusals += [] if problem is None else [problem]
            return
        self.command = None
        self.was_asked = self.was_asked or (order.what == "ask to stop" and problem is None)
        is_gone = self.job is None or self.job.is_over
        self.gone_since = (self.gone_since or monotonic()) if is_gone else None


class BatchExecutor:
    """Attempts as jobs of a batch system."""

    name = "batch"
    capabilities = Capabilities(spread="anywhere", storage="anywhere")  # the state directory is on the shared files
    system = Slurm()
    # How often the batch system is asked, and files are looked at. In seconds.
    ask_every_s = 5.0
    look_every_s = 1.0
    # How long after the end of a job its last words may come: shared files and the history of jobs are behind.
    settle_s = 30.0
    # How often a submission may fail while the queue can be asked.
    most_refusals = 3

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._watched: dict[str, Watched] = {}  # by handle
        self._unwanted: set[str] = set()  # jobs to be ended of attempts that can no longer begin
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._asked: tuple[dict[str, Order], Future[Answer]] | None = None
        self._ask_at = self._look_at = 0.0
        self._problem: str | None = None
        self._since: datetime | None = None

    def launch(self, attempt: Attempt) -> str:
        if attempt.handle not in self._watched:
            self._watch(attempt, 0, attempt_command(self._context, attempt))
        return attempt.handle

    def adopt(self, attempt: Attempt, seen: int) -> str:
        self._context.channels.prepare(attempt.handle)  # the earlier owner may have died before that
        self._watch(attempt, seen, None)  # no command: an attempt whose job is not there is revoked
        return attempt.handle

    def poll(self) -> dict[str, Observation]:
        now = monotonic()
        self._take_answer()
        if self._asked is None and now >= self._ask_at:
            self._ask()
        if now < self._look_at:
            return {}
        self._look_at = now + self.look_every_s
        found = {handle: self._observe(one) for handle, one in self._watched.items()}
        for handle, seen in found.items():
            if seen.phase in FINAL:
                self._watched.pop(handle).channel.close()
        return found

    def cancel(self, handle: str, grace: float) -> None:
        one = self._watched.get(handle)
        if one is not None:
            until = monotonic() + grace
            one.stop_at = until if one.stop_at is None else min(until, one.stop_at)
            self._ask_at = self._look_at = 0.0

    def end_run(self, run_id: str) -> None:
        pass  # nothing is kept for a run

    def close(self) -> None:
        if self._unwanted:
            self._thread.submit(carry_out, self.system, dict.fromkeys(self._unwanted, Order("end")))
        self._thread.shutdown()

    def descriptors(self) -> Iterable[int]:
        return ()

    def health(self) -> ExecutorHealth | None:
        if self._since is None:
            return None
        waiting = Counter(one.job.waits_for for one in self._watched.values() if one.job and one.job.waits_for)
        running = sum(one.job is not None and one.job.state == "RUNNING" for one in self._watched.values())
        return ExecutorHealth(self.name, "Slurm", running, waiting.total(), dict(waiting), self._problem, self._since)

    def _watch(self, attempt: Attempt, seen: int, command: AttemptCommand | None) -> None:
        spec = self._context.pool.specs.get(attempt.location)
        channel = self._context.channels.watch(attempt.handle, seen, None if spec is None else spec.max_log_mb)
        self._watched[attempt.handle] = Watched(attempt, channel, command)
        self._ask_at = 0.0

    def _name(self, handle: str) -> str:
        """The name of an attempt's job: readable in front, distinct by a digest of state directory and handle."""
        step = re.sub(r"[^a-z0-9]+", "-", handle.split("/", 1)[1].lower())[:30]
        digest = hashlib.sha256(f"{self._context.settings.state_path.resolve()} {handle}".encode()).hexdigest()
        return f"orc-{step}-{digest[:20]}"

    def _ask(self) -> None:
        orders = {self._name(handle): one.order() for handle, one in self._watched.items()}
        orders |= dict.fromkeys(self._unwanted, Order("end"))
        if orders:
            self._asked = orders, self._thread.submit(carry_out, self.system, orders)
            self._ask_at = monotonic() + self.ask_every_s

    def _take_answer(self) -> None:
        if self._asked is None or not self._asked[1].done():
            return
        (orders, future), self._asked = self._asked, None
        had_problem, self._problem = self._problem, None
        try:
            answer = future.result()
        except (BatchError, ValueError) as error:  # no answer, or one that cannot be read
            self._problem = str(error)
        else:
            for handle, one in self._watched.items():
                if (name := self._name(handle)) in orders:
                    one.take(orders[name], answer, name)
            ended = {name for name, order in orders.items() if order.what == "end" and name not in answer.problems}
            self._unwanted -= ended
        if self._since is None or (had_problem is None) != (self._problem is None):
            self._since = datetime.now(UTC)

    def _observe(self, one: Watched) -> Observation:
        try:
            if one.stop_at is not None and one.channel.revoke():
                self._unwanted.add(self._name(one.attempt.handle))
            if len(one.refusals) >= self.most_refusals and one.command is not None and one.channel.revoke():
                return Observation(Phase.FAILED, error=ErrorInfo("BatchRefused", one.refusals[-1]))
            is_gone = one.gone_since is not None and monotonic() - one.gone_since >= self.settle_s
            seen = one.channel.look(parent_alive=not is_gone)
        except OSError as error:  # the shared files are away
            return Observation(Phase.UNKNOWN, reason=str(error))
        if seen.phase in (Phase.PENDING, Phase.LOST) and not is_gone:
            return self._undecided(one, seen)
        if seen.phase is Phase.LOST:
            return how_it_ended(one.job, seen)
        if seen.phase is Phase.REVOKED and one.stop_at is None and (one.was_submitted or one.job is not None):
            # Not free of charge as a revocation is: a job that cannot begin must not be submitted again and again.
            said = "is gone" if one.job is None else f"ended as {one.job.state} (exit code {one.job.exit})"
            return replace(seen, phase=Phase.LOST, reason=f"its job {said} before the step began")
        return seen

    def _undecided(self, one: Watched, seen: Observation) -> Observation:
        """An attempt that has not begun, or whose process is not seen: the batch system says whether it lives."""
        if self._problem is not None:
            return replace(seen, phase=Phase.UNKNOWN, error=None, reason=self._problem)
        if seen.phase is Phase.LOST:
            return replace(seen, phase=Phase.RUNNING, error=None, reason="")
        return replace(seen, reason="its job is not in the queue yet" if one.job is None else one.job.waits_for)


def how_it_ended(job: Job | None, seen: Observation) -> Observation:
    """The end of an attempt whose process is gone and left no outcome."""
    if job is None or job.state in NOT_THE_STEPS:
        said = "its job is gone" if job is None else f"its job was ended by the batch system ({job.state})"
        return replace(seen, reason=said)
    if job.state in ("FAILED", "COMPLETED"):
        error = death(-job.exit, None) if job.exit < 0 else death(None, job.exit)
    else:
        kind = OUT_OF_MEMORY if job.state == "OUT_OF_MEMORY" else "JobEnded"
        error = ErrorInfo(kind, f"its job ended as {job.state} before the step was over")
    return replace(seen, phase=Phase.FAILED, error=error)
