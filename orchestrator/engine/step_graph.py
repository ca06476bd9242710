"""The steps of a run and their dependencies at run time, updated one finished step at a time.

A planned step becomes one step, or, when it is mapped over dynamic outputs, one for each key once the keys are known.
Finishing a step costs time proportional to the number of steps that directly wait for it, whatever the size of the
plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from orchestrator.model.attempt import Place, SourceRef
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import RetryAsk
from orchestrator.model.states import TERMINAL_STEP_STATES, StepState
from orchestrator.planning.plan import Plan, PlannedStep, Source, instance_key

_MOST_SOURCES = 3  # named in the reason of a step that is skipped

Keys = tuple[str, ...]
# The outputs a step produced; for a dynamic one the keys of its values.
Produced = dict[str, tuple[str, ...] | None]


class Link(Struct):
    """One source of one input: an output of a step."""

    step: RunStep
    output: str
    mapping_key: str | None = None  # of a dynamic output, this value only
    every_key: bool = False  # of a dynamic output, all its values


class RunStep(Struct, eq=False):
    """One step as it runs. `state` while it is not over, and the fields from `attempt` on, are written by `progress`.
    `seconds` are those of the last attempt that ended."""

    key: str
    planned: PlannedStep
    keys: Keys
    order: tuple[int, ...]  # place in the plan, then among the keys of each dynamic output
    links: list[list[Link]]  # one list an input, and a last one for `after`
    state: StepState = StepState.WAITING
    waiting: int = 0  # sources whose fate is not known yet
    failed_upstream: str | None = None
    never: str | None = None  # why there will be no step for any key (it is then only a placeholder)
    dependents: list[RunStep] = field(default_factory=list)
    outputs: Produced = field(default_factory=dict)
    run_id: str | None = None  # the run that produced the outputs
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    out_of_memory: int = 0  # how many of the failures were that
    launched_at: datetime | None = None
    started_at: datetime | None = None
    place: Place | None = None  # where the last attempt began, in a cluster
    seconds: float | None = None
    due_at: datetime | None = None
    put_off_at: datetime | None = None  # when that was decided
    error: ErrorInfo | None = None
    ask: RetryAsk | None = None  # what the last attempt asked for by raising RetryRequested
    allow_retries: bool = True
    waits_for: str = ""  # why the launched attempt has not begun
    had_outcome: bool = False  # the last attempt recorded how it failed; its process has run the hooks then
    lost: bool = False  # the last attempt was lost: not the step's fault
    stop: Literal["canceled", "timed out"] | None = None
    seen: int = 0  # events of the current attempt that are in the journal
    # Failure hooks that the step's own process could not run, because it died: a last attempt is made for them.
    hooks: Literal["", "due", "running", "done"] = ""

    @property
    def is_selected(self) -> bool:
        """Whether it is to run at all; else it is there for its outputs only."""
        return self.planned.is_selected(self.keys)

    @property
    def is_finished(self) -> bool:
        """Whether its state is one that is never left."""
        return self.state in TERMINAL_STEP_STATES

    @property
    def tries(self) -> int:
        """How many attempts were made at the step itself."""
        return self.attempt - (self.hooks in ("running", "done"))

    @property
    def waited(self) -> float | None:
        """Seconds from the launch of the last attempt to its begin; None while it has not begun."""
        if self.launched_at is None or self.started_at is None:
            return None
        return round(max(0.0, (self.started_at - self.launched_at).total_seconds()), 3)

    def missing_input(self) -> str | None:
        """Why this step has to be skipped: an input none of whose sources has a value; None when there is none."""
        names = [planned.name for planned in self.planned.inputs]
        for position, links in enumerate(self.links):
            if links and not any(_has_value(link) for link in links):
                sources = ", ".join(f"{link.step.key}.{link.output}" for link in links[:_MOST_SOURCES])
                if len(links) > _MOST_SOURCES:
                    sources += f" and {len(links) - _MOST_SOURCES:,} more"
                what = f"input {names[position]!r} has" if position < len(names) else "what it runs after has"
                return f"{what} no value: {sources} {'was' if len(links) == 1 else 'were'} not produced"
        return self.never

    def sources_of_input(self, position: int) -> tuple[SourceRef, ...]:
        """The values that an input is made of, in the order they were wired."""
        return tuple(reference for link in self.links[position] for reference in _references(link))


def _has_value(link: Link) -> bool:
    return link.output in link.step.outputs


def _references(link: Link) -> Iterator[SourceRef]:
    if not _has_value(link):
        return
    keys = link.step.outputs[link.output] or () if link.every_key else (link.mapping_key,)
    for key in keys:
        yield SourceRef(link.step.key, link.output, link.step.run_id, key)


class Network:
    """All steps of one run. `steps` has them by the key they run under; those of keys that are not known yet are not in
    it. Only `finish` adds steps and changes who waits for whom."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.steps: dict[str, RunStep] = {}
        self.instances: dict[str, list[RunStep]] = defaultdict(list)  # by the key of the planned step
        self.unfinished = 0
        self._place = {planned.key: place for place, planned in enumerate(plan.steps)}
        self._mapped_over: dict[str, list[PlannedStep]] = defaultdict(list)  # innermost dynamic output -> steps
        self._below: dict[str, list[PlannedStep]] = defaultdict(list)  # any dynamic output of the scope -> steps
        # What became of a dynamic output: the step that makes it, and its keys; None when there is no such value.
        self._expanded: dict[tuple[str, Keys], tuple[RunStep, tuple[str, ...] | None]] = {}
        # Inputs that collect over keys which are not known yet: (step, position of the input, source).
        self._collectors: dict[tuple[str, Keys], list[tuple[RunStep, int, Source]]] = defaultdict(list)
        self._undecided: list[RunStep] = []
        for planned in plan.steps:
            for dynamic in planned.scope:
                self._below[dynamic].append(planned)
            if planned.scope:
                self._mapped_over[planned.scope[-1]].append(planned)
            else:
                self._add(planned, ())

    def take_decidable(self) -> list[RunStep]:
        """The steps whose fate has become decidable since the last call: ready, to skip or to abandon."""
        taken, self._undecided = self._undecided, []
        return taken

    def finish(self, step: RunStep, state: StepState, produced: Produced) -> None:
        """Puts a step that is not over in a terminal state, with the outputs it has, and tells those who wait for it.
        What becomes decidable by that is in `take_decidable`."""
        step.state = state
        step.outputs = produced
        self.unfinished -= 1
        failed = state in (StepState.FAILURE, StepState.ABANDONED, StepState.CANCELED)
        for dependent in step.dependents:
            self._resolve(dependent, step.key if failed else None)
        if step.never is not None:
            return  # whatever is mapped below a placeholder has its own, made together with it
        for output in step.planned.outputs:
            if output.dynamic:
                self._expand(step, f"{step.planned.node}.{output.name}", produced.get(output.name), failed)

    def in_order(self) -> list[RunStep]:
        """The steps as the plan has them, those of one mapping in the order of their keys."""
        return sorted(self.steps.values(), key=lambda step: step.order)

    def _resolve(self, dependent: RunStep, failed: str | None) -> None:
        dependent.waiting -= 1
        dependent.failed_upstream = dependent.failed_upstream or failed
        self._mark_decidable(dependent)

    def _mark_decidable(self, step: RunStep) -> None:
        if step.waiting == 0 or step.failed_upstream is not None:
            self._undecided.append(step)

    def _add(self, planned: PlannedStep, keys: Keys, positions: tuple[int, ...] = ()) -> RunStep:
        step = RunStep(
            key=instance_key(planned.node, keys),
            planned=planned,
            keys=keys,
            order=(self._place[planned.key], *positions),
            links=[[] for _ in range(len(planned.inputs) + 1)],
        )
        self.steps[step.key] = step
        self.instances[planned.key].append(step)
        self.unfinished += 1
        for index, planned_input in enumerate(planned.inputs):
            for source in planned_input.sources:
                self._wire(step, index, source, planned_input.form == "collect")
        for source, every_key in planned.after:
            self._wire(step, len(planned.inputs), source, every_key)
        self._mark_decidable(step)
        return step

    def _wire(self, step: RunStep, position: int, source: Source, every_key: bool) -> None:
        origin = self.plan.by_key[source.step]
        depth = len(origin.scope)
        dynamic = origin.output(source.output).dynamic
        if every_key and not dynamic:
            self._collect(step, position, source)
            return
        upstream = self.steps[instance_key(origin.node, step.keys[:depth])]
        one_key = step.keys[depth] if dynamic and not every_key and depth < len(step.keys) else None
        self._link(step, position, Link(upstream, source.output, one_key, every_key))

    def _collect(self, step: RunStep, position: int, source: Source) -> None:
        origin = self.plan.by_key[source.step]
        where = (origin.scope[-1], step.keys[: len(origin.scope) - 1])
        if where not in self._expanded:
            step.waiting += 1
            self._collectors[where].append((step, position, source))
            return
        producer, keys = self._expanded[where]
        if keys is None:
            # The dynamic output itself is missing: so is the value of this input, as for any other output.
            self._link(step, position, Link(producer, where[0].rpartition(".")[2]))
        for key in keys or ():
            upstream = self.steps[instance_key(origin.node, (*where[1], key))]
            self._link(step, position, Link(upstream, source.output))

    def _link(self, step: RunStep, position: int, link: Link) -> None:
        step.links[position].append(link)
        upstream = link.step
        if not upstream.is_finished:
            step.waiting += 1
            upstream.dependents.append(step)
        elif upstream.state not in (StepState.SUCCESS, StepState.REUSED, StepState.SKIPPED):
            step.failed_upstream = step.failed_upstream or upstream.key

    def _expand(self, producer: RunStep, dynamic: str, keys: tuple[str, ...] | None, failed: bool) -> None:
        if keys:
            for position, key in enumerate(keys):
                for planned in self._mapped_over[dynamic]:
                    self._add(planned, (*producer.keys, key), (*producer.order[1:], position))
        else:
            self._add_placeholders(producer, dynamic, failed)
        where = (dynamic, producer.keys)
        self._expanded[where] = producer, keys
        for step, position, source in self._collectors.pop(where, ()):
            self._collect(step, position, source)
            self._resolve(step, producer.key if failed else None)

    def _add_placeholders(self, producer: RunStep, dynamic: str, failed: bool) -> None:
        """Steps that will never be mapped still have a state, under their planned key (`load[?]`)."""
        depth = len(producer.keys)
        for planned in self._below[dynamic]:
            key = instance_key(planned.node, producer.keys) + "[?]" * (len(planned.scope) - depth)
            step = RunStep(
                key=key,
                planned=planned,
                keys=producer.keys,
                order=(self._place[planned.key], *producer.order[1:]),
                links=[],
            )
            step.failed_upstream = producer.key if failed else None
            step.never = f"{dynamic} has no keys"
            self.steps[key] = step
            self.unfinished += 1
            self._undecided.append(step)
