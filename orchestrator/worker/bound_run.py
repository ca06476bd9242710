"""A run bound to the code that is loaded here: its plan on one side, the user's definitions on the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from orchestrator.attempts.package import RunPackage
from orchestrator.definitions.config import Resolved, resolve_environment
from orchestrator.definitions.graph import Node
from orchestrator.definitions.handles import PipelineInput
from orchestrator.definitions.hooks import HookDefinition
from orchestrator.definitions.outputs import Out
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.definitions.resource import IOManagerDefinition, ResourceDefinition
from orchestrator.errors import ConfigError, DefinitionError
from orchestrator.masking import NOTHING, Masker
from orchestrator.planning.plan import Plan, PlannedStep
from orchestrator.planning.run_config import input_schema, resource_schema, resources_of, step_entries, step_schema
from orchestrator.worker.copies import deep_copy
from orchestrator.worker.resources import ResourceScope


class BoundRun:
    """One run, ready for its steps to be performed in this process or in children of it.

    Secrets are filled in here, in the process that uses them, each time they are needed; nothing keeps them.
    """

    def __init__(
        self,
        run: RunPackage,
        plan: Plan,
        pipeline: PipelineDefinition,
        environment: Mapping[str, str],
        mode: Mode | None = None,
        masker: Masker = NOTHING,
    ) -> None:
        self._masker = masker
        self.run = run
        self.plan = plan
        self.pipeline = pipeline
        self.environment = environment
        self.mode = mode or pipeline.mode(run.mode)

    def prepare(self) -> None:
        """Works out now what every forked step would otherwise work out again, from a plan of any length."""
        _ = self.resources, self._entries, self.plan.by_key, self.plan.by_node

    @cached_property
    def resources(self) -> dict[str, ResourceDefinition]:
        return resources_of(self.mode)

    @cached_property
    def _entries(self) -> dict[str, Mapping[str, Any]]:
        return step_entries(self.run.config, self.pipeline.graph.nodes).by_node

    def node(self, planned: PlannedStep) -> Node:
        """The user's step behind a planned one. Raises DefinitionError when the code no longer has it."""
        try:
            return self.pipeline.graph.nodes[planned.node]
        except KeyError:
            raise DefinitionError(
                f"Pipeline {self.pipeline.name!r} no longer has the step {planned.node!r}: its code has changed"
                " since the run was planned.",
                hint="Run the pipeline again.",
            ) from None

    def out(self, planned: PlannedStep, output: str) -> Out:
        """What the user's code declares about an output."""
        try:
            return self.node(planned).step.outputs[output]
        except KeyError:
            raise DefinitionError(
                f"Step {planned.node!r} no longer has the output {output!r}: its code has changed since the run was"
                " planned.",
                hint="Run the pipeline again.",
            ) from None

    def step_config(self, node: Node) -> Any:
        """The step's configuration, checked and with secrets filled in."""
        schema = step_schema(node.step)
        if schema is None:
            return None
        raw = self._entries.get(node.key, {}).get("config")
        return self._checked(schema, raw, ("steps", node.key, "config"))

    def resource_config(self, key: str) -> Any:
        """The resource's configuration, likewise."""
        schema = resource_schema(self.resources[key])
        if schema is None:
            return None
        entry = (self.run.config.get("resources") or {}).get(key) or {}
        return self._checked(schema, entry.get("config"), ("resources", key, "config"))

    def masker(self) -> Masker:
        """Hides everything that the configuration of the run and its location take from the environment."""
        return self._masker | resolve_environment(self.run.config, self.environment).secrets

    def configured_input(self, node: Node, name: str) -> Resolved:
        """The value that the configuration of the run gives an input."""
        wire = node.inputs.get(name)
        if wire is None:
            raw = (self._entries.get(node.key, {}).get("inputs") or {})[name]
            path: tuple[str, ...] = ("steps", node.key, "inputs", name)
        else:
            (handle,) = wire.handles
            assert isinstance(handle, PipelineInput)
            raw, path = self.run.config["inputs"][handle.name], ("inputs", handle.name)
        resolved = resolve_environment(raw, self.environment, path)
        schema = input_schema(self.pipeline, node.key, name)
        value, problems = schema.convert(raw, self.environment, path) if schema else (resolved.value, resolved.problems)
        if problems:
            raise ConfigError("The configuration is not valid:", details=map(str, problems))
        return replace(resolved, value=deep_copy(value))

    def hooks(self, planned: PlannedStep) -> tuple[HookDefinition, ...]:
        return self.node(planned).hooks

    def scope(self) -> ResourceScope:
        """A fresh set of resources, none of them made yet."""
        quiet = [key for key, definition in self.resources.items() if isinstance(definition, IOManagerDefinition)]
        return ResourceScope(self.resources, self.resource_config, quiet)

    def _checked(self, schema: Any, raw: Any, path: tuple[str, ...]) -> Any:
        value, problems = schema.check(raw, self.environment, path)
        if problems:
            # Checked when the run was planned: the environment or the code has changed since.
            raise ConfigError("The configuration is not valid any more:", details=map(str, problems))
        return deep_copy(value)
