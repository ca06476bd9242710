"""The evaluators of a location, from the owner's side: a few processes that are asked, timed, and killed when they
hang.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.attempts.exit_status import how_it_ended
from orchestrator.clock import format_duration, monotonic
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.code_locations.process_memory import growth_mb, own_memory_kb
from orchestrator.protocol.messages import (
    NO_EVALUATOR,
    Answer,
    Evaluate,
    EvaluateMany,
    FindAsset,
    FoundAsset,
    FromLocation,
    Loaded,
    LoadFailed,
    MakePlans,
    Refusal,
)
from orchestrator.protocol.wire import Channel, Disconnected, Garbled

# More at a time would only take turns on the same processors.
MOST = 8
# An evaluator that has had nothing to do for this long is let go, except for one.
_IDLE_S = 60.0
# What has waited for this long is worth another process. Most evaluations are over much sooner, and a hundred that
# come at once are answered by one process before eight have been started.
_PATIENCE_S = 0.05
# The location process says how an evaluator has ended within a moment, unless it is busy or gone itself.
_REAPED_S = 1.0
# Until an evaluator of its own interpreter has imported the module.
_START_S = 600.0
# When the machine has no room for another process (descriptors, memory), the next try comes this much later.
_AGAIN_S = 1.0
# What has waited for room for this long gets no answer, so that the asker can report the reason.
_ROOM_S = 30.0


# How soon to look again whether the rest of a message has come.
_PARTIAL_S = 1.0
_GARBLED = (
    "What it sent cannot be understood: it, or a library that it uses, writes to file descriptors that are not its own"
)


class Finished(Struct, frozen=True):
    """What became of a question: JSON, or why there is none."""

    token: int
    result: bytes | None
    problem: str | None = None
    timed_out: bool = False


class _Asked(Struct):
    token: int
    message: msgspec.Struct
    timeout: float
    since: float


class Evaluator:
    """One process."""

    def __init__(self, location: LocationProcess, now: float) -> None:
        ours, theirs = socket.socketpair()
        try:
            location.start_evaluator(theirs)
        finally:
            theirs.close()
        self.channel: Channel[FromLocation] = Channel(ours, FromLocation)
        self.pid = 0
        self.size_kb: int | None = None
        self.asked: _Asked | None = None
        self.deadline = now + _START_S
        self.idle_since = now
        self.gone_at: float | None = None  # when its connection was found closed

    @property
    def is_free(self) -> bool:
        """Whether it can be asked something now."""
        return self.asked is None and self.pid != 0 and self.gone_at is None

    def kill(self) -> None:
        """Ends it, with whatever it has started in its process group."""
        self.channel.close()
        if self.pid:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


class EvaluatorPool:
    """The evaluators of one location: one at first, more while all are busy."""

    def __init__(self, process: LocationProcess, most: int = MOST) -> None:
        self._process = process
        self._most = most
        self._evaluators: list[Evaluator] = []
        self._waiting: deque[_Asked] = deque()
        self._finished: list[Finished] = []
        self._questions: deque[tuple[Evaluator, FindAsset]] = deque()  # who wants to know what, and waits
        self._tokens = 0
        self._known: set[int] = set()
        self._not_before = 0.0  # no evaluator is started before this moment
        self._start()

    def evaluate(self, *, timeout: float, **fields: Any) -> int:
        """Asks a schedule or sensor; the token of the answer."""
        self._tokens += 1
        return self._ask(_Asked(self._tokens, Evaluate(request=self._tokens, **fields), timeout, monotonic()))

    def evaluate_many(
        self, name: str, occurrences: tuple[tuple[datetime, datetime], ...], *, timeout: float, seconds: float
    ) -> int:
        """Asks a schedule about many occurrences; the token of the answer. Each of them may take `timeout`; after
        `seconds` the evaluator answers with what it has."""
        self._tokens += 1
        message = EvaluateMany(self._tokens, name, occurrences, seconds)
        return self._ask(_Asked(self._tokens, message, timeout + seconds, monotonic()))

    def make_plans(self, requests: tuple[bytes, ...], timeout: float) -> int:
        """Asks for plans; the token of the answer."""
        self._tokens += 1
        return self._ask(_Asked(self._tokens, MakePlans(self._tokens, requests), timeout, monotonic()))

    def knows(self, token: int) -> bool:
        """Whether an answer to this is still to come."""
        return token in self._known

    def poll(self) -> list[Finished]:
        """What has been answered, has failed or has taken too long since this was last asked."""
        now = monotonic()
        for evaluator in list(self._evaluators):
            self._pump(evaluator, now)
        self._let_go_of_idle(now)
        self._hand_out(now)
        finished, self._finished = self._finished, []
        self._known.difference_update(one.token for one in finished)
        return finished

    def answer_questions(self, find: Callable[[FindAsset], FoundAsset]) -> None:
        """Tells evaluators what they want to know. Raises what `find` raises: the question, and those behind it, are
        there the next time."""
        while self._questions:
            evaluator, question = self._questions[0]
            answer = find(question)
            self._questions.popleft()
            try:
                evaluator.channel.send(answer)
            except Disconnected:
                pass  # noticed at the next poll

    def replace_grown(self, most_mb: int) -> int:
        """Lets evaluators go that have grown by more than that since they began; by how much the largest had. One
        that is being asked is looked at when it is not."""
        largest = 0
        for evaluator in [one for one in self._evaluators if one.is_free]:
            grown = growth_mb(evaluator.pid, evaluator.size_kb)
            if grown > most_mb:
                self._evaluators.remove(evaluator)
                evaluator.channel.close()
                largest = max(largest, grown)
        if largest and not self._evaluators:
            self._start()
        return largest

    def descriptors(self) -> Iterator[int]:
        """What becomes readable when a `poll` may have something new."""
        for evaluator in self._evaluators:
            if evaluator.gone_at is None:
                yield evaluator.channel.fileno()
            elif self._process.is_alive:
                yield self._process.fileno()  # that is where the word of its end comes from

    def writable(self) -> Iterator[int]:
        """The connections of those that have not taken all of their question yet."""
        for evaluator in self._evaluators:
            if evaluator.gone_at is None and evaluator.channel.wants_to_send:
                yield evaluator.channel.fileno()

    def next_deadline(self) -> float | None:
        """When, on the monotonic clock, something takes too long."""
        deadlines = [one.deadline for one in self._evaluators if one.asked is not None or not one.pid]
        deadlines += [monotonic() + _PARTIAL_S for one in self._evaluators if one.channel.is_partial]
        if self._waiting and not self._evaluators:
            deadlines.append(self._not_before)
        if self._room and len(self._waiting) > self._starting:
            deadlines.append(max(self._waiting[self._starting].since + _PATIENCE_S, self._not_before))
        return min(deadlines, default=None)

    def close(self) -> None:
        """Ends all of them. What was asked is never answered."""
        for evaluator in self._evaluators:
            evaluator.kill()
        self._evaluators.clear()
        self._waiting.clear()
        self._known.clear()

    # --- inside ---

    @property
    def _starting(self) -> int:
        return sum(not one.pid for one in self._evaluators)

    @property
    def _room(self) -> int:
        return self._most - len(self._evaluators)

    def _ask(self, asked: _Asked) -> int:
        self._waiting.append(asked)
        self._known.add(asked.token)
        self._hand_out(monotonic())
        return asked.token

    def _start(self) -> None:
        now = monotonic()
        if now < self._not_before:
            return
        try:
            self._evaluators.append(Evaluator(self._process, now))
        except OSError:  # no descriptors: what waits goes on waiting, and those that are there go on answering
            self._not_before = now + _AGAIN_S

    def _hand_out(self, now: float) -> None:
        free = [one for one in self._evaluators if one.is_free]
        while self._waiting and free:
            evaluator, asked = free.pop(0), self._waiting.popleft()
            evaluator.asked = asked
            evaluator.deadline = now + asked.timeout
            try:
                evaluator.channel.send(asked.message)
            except Disconnected:
                pass  # noticed at the next poll
        late = sum(now - asked.since >= _PATIENCE_S for asked in self._waiting)
        if self._waiting and not self._evaluators:
            late = max(late, 1)
        for _ in range(min(self._room, late - self._starting)):
            self._start()

    def _pump(self, evaluator: Evaluator, now: float) -> None:
        try:
            evaluator.channel.flush()
            for message in evaluator.channel.receive():
                self._take(evaluator, message, now)
        except Garbled as error:
            self._lose(evaluator, f"{_GARBLED} ({error}). Its process was ended.")
            return
        except Disconnected:
            self._bury(evaluator, now)
            return
        if (evaluator.asked is not None or not evaluator.pid) and now >= evaluator.deadline:
            seconds = format_duration(evaluator.asked.timeout if evaluator.asked else _START_S)
            self._lose(evaluator, f"It timed out after {seconds}, and was ended.", timed_out=True)

    def _bury(self, evaluator: Evaluator, now: float) -> None:
        """It is gone. The location process, whose child it was, is about to say how it has ended."""
        if evaluator.gone_at is None:
            evaluator.gone_at = now
            evaluator.deadline = now + _REAPED_S
        code = self._process.ending_of(evaluator.pid)
        if code is None and evaluator.asked and self._process.is_alive and now < evaluator.deadline:
            return
        how = "ended unexpectedly" if code is None else how_it_ended(code)
        self._lose(evaluator, f"Its process {how}.")

    def _take(self, evaluator: Evaluator, message: FromLocation, now: float) -> None:
        if isinstance(message, Loaded) and not evaluator.pid:
            evaluator.pid, evaluator.size_kb = message.pid, own_memory_kb(message.pid)
            evaluator.idle_since = now
        elif isinstance(message, Refusal) and message.request == NO_EVALUATOR:
            self._refused(evaluator, message, now)
        elif isinstance(message, FindAsset):
            self._questions.append((evaluator, message))
        elif isinstance(message, (Answer, Refusal)) and evaluator.asked is not None:
            token, evaluator.asked, evaluator.idle_since = evaluator.asked.token, None, now
            if isinstance(message, Answer):
                self._finished.append(Finished(token, message.result))
            else:
                hint = f"\n{message.hint}" if message.hint else ""
                self._finished.append(Finished(token, None, f"{message.message}{hint}"))
        elif isinstance(message, LoadFailed):
            self._lose(evaluator, f"The module cannot be imported a second time: {message.message}")

    def _refused(self, evaluator: Evaluator, refusal: Refusal, now: float) -> None:
        """The machine has no room for it now. What waits goes on waiting for a while; those that are there answer."""
        self._evaluators.remove(evaluator)
        evaluator.channel.close()
        self._not_before = now + _AGAIN_S
        problem = f"It could not be evaluated: {refusal.message}." + (f"\n{refusal.hint}" if refusal.hint else "")
        while self._waiting and now - self._waiting[0].since >= _ROOM_S:
            self._finished.append(Finished(self._waiting.popleft().token, None, problem))

    def _lose(self, evaluator: Evaluator, problem: str, *, timed_out: bool = False) -> None:
        if evaluator not in self._evaluators:
            return
        self._evaluators.remove(evaluator)
        self._questions = deque(one for one in self._questions if one[0] is not evaluator)
        if evaluator.asked is not None:
            self._finished.append(Finished(evaluator.asked.token, None, problem, timed_out))
        elif not evaluator.pid and self._waiting:
            # It never came to life: what waits must not wait forever.
            self._finished.append(Finished(self._waiting.popleft().token, None, problem, timed_out))
        evaluator.kill()

    def _let_go_of_idle(self, now: float) -> None:
        idle = [one for one in self._evaluators if one.is_free and now - one.idle_since > _IDLE_S]
        for evaluator in idle[: max(0, len(self._evaluators) - 1)]:
            self._evaluators.remove(evaluator)
            evaluator.channel.close()


def wait_for_any(pools: Iterable[EvaluatorPool]) -> None:
    """Returns once one of them may have something new or has waited long enough, and after a second in any case."""
    poll = select.poll()
    until = monotonic() + 1.0
    for pool in pools:
        writable = set(pool.writable())
        for descriptor in pool.descriptors():
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if descriptor in writable else 0))
        deadline = pool.next_deadline()
        until = until if deadline is None else min(until, deadline)
    # Rounded up: waking a fraction of a millisecond early would mean looking for nothing until it is time.
    poll.poll(max(0, int((until - monotonic()) * 1000)) + 1)
