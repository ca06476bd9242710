"""The interface of IO managers, which store the values that pass between steps."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.values import AssetMaterialization


class IOManager(abc.ABC):
    """Stores what a step returns and loads it again for the steps that need it.

    The manager of an output also loads it: a step never needs to know where its inputs come from. Either method may
    raise `RetryRequested` or `Failure` with the same meaning as in a step.

    Concurrency: a manager is made anew in each step's process, so an instance is used by one thread at a time and
    remembers nothing between steps. Several processes may store different outputs, and load the same one, at the same
    time; several runs may store the same output. Compare `context.upstream_output.run_id` with what is stored, or keep
    a place for each run.
    """

    @abc.abstractmethod
    def handle_output(
        self, context: OutputContext, obj: Any
    ) -> AssetMaterialization | Iterable[AssetMaterialization] | None:
        """Stores `obj`. What it returns (or yields) is recorded in the asset catalog.

        Store atomically: the process may be killed at any moment, and a reader must find the old value or the new one,
        never half of it. It may be called again for the same output when a step is retried (`context.attempt` is then
        higher), and must replace what is there, a half-written value included. An exception fails the attempt; the
        step's retry policy applies.
        """

    @abc.abstractmethod
    def load_input(self, context: InputContext) -> Any:
        """The value stored for `context.upstream_output`.

        Called in the process of the step that needs the value, which may be another process, and on another day, than
        the one that stored it; never before `handle_output` has returned. Any exception means that the value cannot be
        had and fails the attempt, so name the place in its message.
        """

    def has_output(self, context: OutputContext) -> bool:
        """Whether the value of `context` is stored already; asked only of outputs that have a `context.version`, before
        a run that was started with `--memoize` begins.

        A manager that answers True must keep values of different versions apart. The default is to know of none.
        """
        return False
