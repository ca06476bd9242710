"""The plan of a run: plain, frozen, JSON-able data. Holds nothing of the user's code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal

import msgspec

from orchestrator.definitions.retry import RetryPolicy
from orchestrator.model.reach import StoredWithin
from orchestrator.typed import Place


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output of a planned step, as the origin of an input."""

    step: str  # the key of the step as planned
    output: str


InputForm = Literal["one", "list", "collect", "config", "default"]


class PlannedInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an input gets its value.

    "one": from its source. "list": a list of those sources that have a value (fan-in). "collect": a list over the
    keys of the dynamic output that its source is mapped over. "config": from the configuration of the run.
    "default": the parameter's own default.
    """

    name: str
    form: InputForm
    sources: tuple[Source, ...] = ()


class PlannedOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output. `io_manager` is the resource that stores it; empty for an output without a value (`-> None`)."""

    name: str
    io_manager: str = ""
    optional: bool = False
    dynamic: bool = False


class PlannedStep(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One step. `key` is `outer.inner`, with `[?]` behind it for each dynamic output it is mapped over; `node` is its
    place in the pipeline (the key without that). `scope` names those dynamic outputs, outermost first."""

    key: str
    node: str
    inputs: tuple[PlannedInput, ...] = ()
    outputs: tuple[PlannedOutput, ...] = ()
    after: tuple[tuple[Source, bool], ...] = ()  # (source, whether all its keys are waited for)
    scope: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    priority: int = 0
    retry: RetryPolicy = RetryPolicy()
    timeout: float | None = None  # seconds of one attempt
    resources: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    isolation: str = "fork"
    executor: str | None = None  # its own, whatever that of the run is
    pod: dict[str, Any] | None = None  # what `Pod(...)` says, for executors that run containers
    version: str | None = None
    selected: bool = True  # False: not run, only there because a selected step needs its outputs
    keys: tuple[tuple[str, ...], ...] = ()  # selected for these keys only, given from the outermost on; (): for all

    def output(self, name: str) -> PlannedOutput:
        """The output of that name; there must be one."""
        return next(output for output in self.outputs if output.name == name)

    def is_selected(self, mapping_keys: tuple[str, ...]) -> bool:
        """Whether the step is to run for these keys; for fewer than it has, whether it may be for some below them."""
        if not self.keys:
            return self.selected
        return self.selected and any(
            all(mine == wanted for mine, wanted in zip(mapping_keys, keys, strict=False)) for keys in self.keys
        )


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, dict=True):
    """All steps in a topological order, and what applies to the run as a whole."""

    pipeline: str
    mode: str
    steps: tuple[PlannedStep, ...]
    retries_enabled: bool = True

    @cached_property
    def by_key(self) -> dict[str, PlannedStep]:
        """The steps by their key as planned (`load[?]`)."""
        return {step.key: step for step in self.steps}

    @cached_property
    def by_node(self) -> dict[str, PlannedStep]:
        """The steps by their place in the pipeline (`load`)."""
        return {step.node: step for step in self.steps}

    def origin_of(self, step: str) -> PlannedStep:
        """The planned step behind a step as it runs (`load[a]`)."""
        return self.by_node[step.partition("[")[0]]

    def selected(self) -> Iterator[PlannedStep]:
        """The steps that are to run."""
        return (step for step in self.steps if step.selected)


class Inherited(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run takes over from the earlier run that it continues, where its own request says nothing else."""

    mode: str
    config: dict[str, Any] = {}


class PlanRequest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a caller decides about a run; a location makes the plan from it."""

    pipeline: str = ""  # "": that of the run which is continued
    mode: str | None = None
    preset: str | None = None
    config: dict[str, Any] = {}
    typed: tuple[tuple[Place, str], ...] = ()  # the texts of values of `config` that a person typed, by their places
    tags: dict[str, str] = {}
    selection: tuple[str, ...] = ()
    executor: str | None = None
    default_executor: str = "subprocess"
    inherited: Inherited | None = None  # from the earlier run whose outputs it may use
    memoize: bool = False
    stored: bool = True  # the run is written down, and its configuration with it
    check: bool = True  # False: only the shape of the plan is wanted, whatever is wrong with the configuration


encode_plan = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Plan)


def decode_plan(raw: bytes | msgspec.Raw) -> Plan:
    """The plan that `encode_plan` wrote."""
    return _decoder.decode(raw)


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A plan, with the decisions that a preset or the pipeline itself contributed to the run. The plan travels encoded,
    as it will lie in the run's directory, and is decoded once where it is looked at."""

    encoded_plan: msgspec.Raw = msgspec.Raw(b"")  # `with_plan` sets it
    mode: str
    config: dict[str, Any]
    tags: dict[str, str]
    selection: tuple[str, ...]
    executor: str
    description: str | None = None
    stored_within: tuple[StoredWithin, ...] = ()  # by managers that do not reach every machine
    changed: tuple[str, ...] = ()  # the nodes that are configured otherwise than in the run that this one continues

    @cached_property
    def plan(self) -> Plan:
        """The plan, decoded."""
        return decode_plan(self.encoded_plan)

    def with_plan(self, plan: Plan) -> PlannedRun:
        """The same run with another plan."""
        changed = msgspec.structs.replace(self, encoded_plan=msgspec.Raw(encode_plan(plan)))
        changed.__dict__["plan"] = plan
        return changed

    @property
    def executors(self) -> tuple[str, ...]:
        """The executors of the run: its own, and those that steps which are to run have chosen."""
        chosen = {step.executor or self.executor for step in self.plan.selected()} - {self.executor}
        return (self.executor, *sorted(chosen))


def plan_of_attempt(plan: Plan, template: str, sources: Iterable[str]) -> Plan:
    """The part of a plan that an attempt at the step `template` needs: that step, and those that made its inputs
    (`sources`, their keys as they run)."""
    needed = {template, *(plan.origin_of(source).key for source in sources)}
    return msgspec.structs.replace(plan, steps=tuple(step for step in plan.steps if step.key in needed))


def template_key(node: str, depth: int) -> str:
    """The key of a step as planned: `load`, or `load[?]` when it is mapped over one dynamic output."""
    return node + "[?]" * depth


def instance_key(node: str, mapping_keys: tuple[str, ...]) -> str:
    """The key of a step as it runs: `load[a]`."""
    return node + "".join(f"[{key}]" for key in mapping_keys)
