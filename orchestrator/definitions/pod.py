"""What a step needs of its container, for executors that run containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.definitions.broken import checked_later
from orchestrator.definitions.source_location import Where, definition_error, where_called

# A larger factor is a slip: four attempts with it would take more than any machine has.
_MOST = 100
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([EPTGMk]i?|Ki|m|e[0-9]+)?")


@dataclass(frozen=True)
class Pod:
    """The pod of a step: `@step(pod=Pod(memory="8Gi"))`. Executors that run no containers ignore it.

    cpu, memory: quantities as in a manifest ("500m", "2", "8Gi"). Both are requested; memory is the limit too, so that
        a step which takes more is killed, and no other one for it.
    gpu: how many of `nvidia.com/gpu`.
    image: instead of the location's.
    memory_on_retry: after an attempt that ran out of memory, the next one has so many times as much: 2 doubles it.
    spot: may run on nodes that can be taken away, as `kubernetes.spot` in the workspace file describes them.
    spec: fields of a pod spec, merged last: lists with names (containers, env, volumes) by name, tolerations and
        envFrom appended, everything else replaced. The container of the step is called `step`.
    """

    cpu: str | float | None = None
    memory: str | None = None
    gpu: int | None = None
    image: str | None = None
    memory_on_retry: float = 1
    spot: bool = False
    spec: Mapping[str, Any] = field(default_factory=dict)
    where: Where = field(default_factory=where_called, repr=False, compare=False)

    @checked_later
    def __post_init__(self) -> None:
        for name in ("cpu", "memory"):
            value = getattr(self, name)
            if value is not None and not _QUANTITY.fullmatch(str(value)):
                hint = 'Write a quantity as in a manifest: "500m", "2" or "8Gi".'
                raise definition_error("Pod", self.where, f"{name}={value!r} is not a quantity.", hint)
        if self.gpu is not None and (not isinstance(self.gpu, int) or self.gpu < 0):
            raise definition_error("Pod", self.where, f"gpu={self.gpu!r} is not a number of GPUs.", "Write gpu=1.")
        self._check_memory_on_retry()
        if not isinstance(self.spot, bool):
            raise definition_error("Pod", self.where, f"spot={self.spot!r} is not True or False.", "Write spot=True.")
        if not isinstance(self.spec, Mapping):
            raise definition_error("Pod", self.where, "spec= is not a dictionary.", "Write spec={'nodeSelector': ...}.")

    def _check_memory_on_retry(self) -> None:
        factor = self.memory_on_retry
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= _MOST:
            problem = f"memory_on_retry={factor!r} is not a number from 1 to {_MOST}."
            raise definition_error("Pod", self.where, problem, "Write memory_on_retry=2 to double it.")
        if factor != 1 and self.memory is None:
            hint = 'Write memory="4Gi" too: that is what is multiplied.'
            raise definition_error("Pod", self.where, "memory_on_retry= needs memory=.", hint)

    def planned(self) -> dict[str, Any]:
        """Its fields as JSON; those that are not given are left out."""
        given: dict[str, Any] = {
            "cpu": None if self.cpu is None else str(self.cpu),
            "memory": self.memory,
            "gpu": self.gpu,
        }
        given |= {"image": self.image, "spec": dict(self.spec) or None, "spot": self.spot or None}
        given["memory_on_retry"] = self.memory_on_retry if self.memory_on_retry != 1 else None
        return {name: value for name, value in given.items() if value is not None}
