"""The runs that have begun in a location process, each bound to the loaded code when it is first needed."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cached_property

import msgspec

from orchestrator.attempts.package import AttemptPackage, RunPackage
from orchestrator.definitions.pipeline import PipelineDefinition
from orchestrator.masking import Masker
from orchestrator.model.attempt import AttemptSpec
from orchestrator.planning.plan import Plan, decode_plan, encode_plan, plan_of_attempt
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.loading import import_libraries


class BegunRun:
    """One run. `find` gives a pipeline by its name."""

    def __init__(self, package: RunPackage, find: Callable[[str], PipelineDefinition], masker: Masker) -> None:
        self._package = package
        self._find = find
        self._masker = masker

    @property
    def run_id(self) -> str:
        return self._package.run_id

    @cached_property
    def plan(self) -> Plan:
        """The plan of the run."""
        return decode_plan(self._package.plan)

    @cached_property
    def bound(self) -> BoundRun:
        """The run, bound and ready to be forked. Raises what user code raises, and NotFound."""
        pipeline = self._find(self._package.pipeline)
        bound = BoundRun(self._package, self.plan, pipeline, os.environ, masker=self._masker)
        import_libraries(pipeline, bound.mode)
        bound.prepare()
        gc.freeze()
        return bound

    def package_of(self, spec: AttemptSpec) -> AttemptPackage:
        """What a process needs that makes this one attempt: of the plan, only the steps that it has to do with."""
        sources = {reference.step for references in spec.inputs.values() for reference in references}
        part = plan_of_attempt(self.plan, spec.template, sources)
        run = msgspec.structs.replace(self._package, plan=msgspec.Raw(encode_plan(part)))
        return AttemptPackage(run=run, spec=spec)
