"""How often a step may be tried again, and after what delay. Counts nothing and waits for nothing: how often it was
tried comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from orchestrator.clock import Duration, seconds_of
from orchestrator.definitions.broken import checked_later
from orchestrator.definitions.source_location import definition_error, where_called
from orchestrator.model.events import RetryAsk

_DURATION = "Write seconds, text like '90s' or '15m', or a timedelta."


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Retries of one step. `delay` and `max_delay` are seconds, text such as "15m", or a timedelta.

    `max_retries` counts tries after the first that are made because the step itself failed: it raised, ran into its
    timeout, or its process died. `infrastructure_retries` is a separate budget for attempts that were lost,
    preempted or could not start, which are not the step's fault and never use up its own.

    `backoff` grows the delay with each retry: "linear" waits delay, 2 x delay, 3 x delay; "exponential" waits delay,
    2 x, 4 x, 8 x. No wait is longer than `max_delay`. With `jitter`, each wait is drawn between half of that and all
    of it, so that steps that failed together do not come back together (AWS calls this "equal jitter").
    """

    max_retries: int = 0
    delay: float = 0.0
    backoff: Literal["constant", "linear", "exponential"] = "constant"
    jitter: bool = False
    infrastructure_retries: int = 3
    max_delay: float = 3600.0

    if TYPE_CHECKING:

        def __init__(
            self,
            max_retries: int = 0,
            delay: Duration = 0.0,
            backoff: Literal["constant", "linear", "exponential"] = "constant",
            jitter: bool = False,
            infrastructure_retries: int = 3,
            max_delay: Duration = 3600.0,
        ) -> None: ...

    @checked_later
    def __post_init__(self) -> None:
        if self.backoff not in ("constant", "linear", "exponential"):
            raise self._wrong("backoff", "is not a kind of backoff", 'Use "constant", "linear" or "exponential".')
        for name in ("max_retries", "infrastructure_retries"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise self._wrong(name, "must be a whole number, 0 or more")
        for name in ("delay", "max_delay"):
            try:
                seconds = seconds_of(getattr(self, name), least=0)
            except ValueError:
                raise self._wrong(name, "must be a duration of 0 seconds or more", _DURATION) from None
            msgspec.structs.force_setattr(self, name, seconds)

    def _wrong(self, field: str, problem: str, hint: str | None = None) -> Exception:
        return definition_error("RetryPolicy", where_called(), f"{field}={getattr(self, field)!r} {problem}.", hint)

    def delay_before_retry(self, retry: int, random: float, asked: float | None = None) -> float:
        """Seconds to wait before the `retry`-th retry (from 1). `random` is drawn from [0, 1); `asked` is what a step
        that raised RetryRequested wants instead of the policy's delay."""
        if asked is not None:
            return asked
        factor: float = {"constant": 1, "linear": retry, "exponential": 1 << min(retry - 1, 60)}[self.backoff]
        delay = min(self.delay * factor, self.max_delay)
        return delay * (0.5 + 0.5 * random) if self.jitter else delay


def may_retry(policy: RetryPolicy, *, enabled: bool, failures: int, ask: RetryAsk | None, allowed: bool) -> bool:
    """Whether a step that has now failed `failures` times by its own fault is to be tried again.

    What a step asks for by raising RetryRequested counts instead of its policy, not in addition to it.
    """
    if not enabled or not allowed:
        return False
    return failures <= (ask.max_retries if ask is not None else policy.max_retries)
