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
    """

    @abc.abstractmethod
    def handle_output(
        self, context: OutputContext, obj: Any
    ) -> AssetMaterialization | Iterable[AssetMaterialization] | None:
        """Stores `obj`. What it returns (or yields) is recorded in the asset catalog.

        It may be called again for the same output when a step is retried, and must then replace what is there.
        """

    @abc.abstractmethod
    def load_input(self, context: InputContext) -> Any:
        """The value stored for `context.upstream_output`."""

    def has_output(self, context: OutputContext) -> bool:
        """Whether the value of `context` is stored already; asked only of outputs that have a `context.version`.

        A manager that answers True must keep values of different versions apart. The default is to know of none.
        """
        return False
