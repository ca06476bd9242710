"""Showing what a schedule or sensor would run. How it is asked is known to `simulation.preview`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.cli.options import workspace
from orchestrator.cli.outcome import OK, error_json, show_error
from orchestrator.cli.output import print_json, put, say, whole
from orchestrator.errors import ExecutionError, NotPossible
from orchestrator.service.automations import look_up, next_instants, pick
from orchestrator.simulation.preview import Preview, ask_once


def show_preview(name: str, *, schedules: bool, at: datetime | None, json: bool) -> int:
    """Prints the requests as YAML, or as JSON; the exit code. Writes nothing."""
    now = clock.now()
    with workspace(only_reads=True) as found:
        one = pick(look_up(found, now, [name]), name, schedules=schedules)
        if one.declared is None or one.gone_at is not None:
            raise NotPossible(f"{one.id} is not defined any more.")
        preview = ask_once(found, one, now, at or [*next_instants(one, now), now][0])
    error = _error(one.id, preview)
    if json:
        print_json(_as_json(one.id, preview, error))
        if error is not None:
            show_error(error)
    else:
        _show(preview)
        if error is not None:
            raise error
    return OK if error is None else error.exit_code


def _error(id: str, preview: Preview) -> ExecutionError | None:
    if preview.evaluation.error:
        return ExecutionError(f"{id} failed:\n{preview.evaluation.error}")
    if preview.problems:
        return ExecutionError(f"{id} would fail, and run nothing:\n" + "\n".join(preview.problems))
    return None


def _as_json(id: str, preview: Preview, error: ExecutionError | None) -> dict[str, Any]:
    evaluation = preview.evaluation
    requests = [{**whole(one), "already_used": one.run_key in preview.used} for one in evaluation.requests]
    return {
        "name": id,
        **whole(evaluation),
        "requests": requests,
        "problems": preview.problems,
        "error": error_json(error) if error is not None else None,
    }


def _show(preview: Preview) -> None:
    import yaml

    evaluation = preview.evaluation
    if evaluation.output:
        say(evaluation.output.rstrip())
    for request in evaluation.requests:
        told = {key: value for key, value in msgspec.to_builtins(request).items() if value}
        if request.run_key in preview.used:
            told["already used"] = True
        put(yaml.safe_dump([told], sort_keys=False, allow_unicode=True), end="")
    if not evaluation.requests and not evaluation.error and not preview.problems:
        why = f": {evaluation.skip_reason}" if evaluation.skip_reason else ". It does not say why; a SkipReason would."
        say(f"It would run nothing{why}")
