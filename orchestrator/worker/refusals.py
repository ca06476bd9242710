"""Turns an error into the answer of a location process, without the secrets that it may quote."""

from __future__ import annotations

import os

from orchestrator.definitions.config import resolve_environment
from orchestrator.errors import OrchestratorError
from orchestrator.masking import Masker
from orchestrator.planning.plan import PlanRequest
from orchestrator.protocol.messages import Refusal
from orchestrator.worker.loading import Definitions, Target


def refusal(request: int, error: OrchestratorError, mask: Masker) -> Refusal:
    """The error as an answer to that request."""
    hint = None if error.hint is None else mask(error.hint)
    return Refusal(request, type(error).__name__, mask(error.message), hint, tuple(map(mask, error.details)))


def planning_masker(target: Target, definitions: Definitions, request: PlanRequest) -> Masker:
    """Hides what user code may quote while this run is planned: secrets of the location, of the configuration given,
    and of the pipeline's presets."""
    configs = [request.config]
    pipeline = definitions.pipelines.get(request.pipeline)
    if pipeline is not None:
        configs += [dict(preset.config) for preset in pipeline.presets.values()]
    return target.masker | (secret for config in configs for secret in resolve_environment(config, os.environ).secrets)
