"""Showing what a schedule or sensor would run. How it is asked is known to `simulation.once`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from orchestrator import clock
from orchestrator.cli.options import workspace
from orchestrator.cli.output import print_json, put, say
from orchestrator.errors import ExecutionError, NotPossible
from orchestrator.operations.instigators import look_up, next_instants, pick
from orchestrator.simulation.once import Preview, ask_once


def show_preview(name: str, *, schedules: bool, at: datetime | None, json: bool) -> None:
    """Prints the requests as YAML, or as JSON. Writes nothing."""
    now = clock.now()
    with workspace(only_reads=True) as found:
        one = pick(look_up(found, now, [name]), name, schedules=schedules)
        if one.declared is None or one.gone_at is not None:
            raise NotPossible(f"{one.id} is not defined any more.")
        preview = ask_once(found, one, now, at or [*next_instants(one, now), now][0])
    if json:
        print_json(preview.evaluation)
    else:
        _show(one.id, preview)


def _show(id: str, preview: Preview) -> None:
    import yaml

    evaluation = preview.evaluation
    if evaluation.output:
        say(evaluation.output.rstrip())
    if evaluation.error:
        raise ExecutionError(f"{id} failed:\n{evaluation.error}")
    for request in evaluation.requests:
        told = {key: value for key, value in msgspec.to_builtins(request).items() if value}
        if request.run_key in preview.used:
            told["already used"] = True
        put(yaml.safe_dump([told], sort_keys=False, allow_unicode=True), end="")
    if preview.problems:
        raise ExecutionError(f"{id} would fail, and run nothing:\n" + "\n".join(preview.problems))
    if not evaluation.requests:
        why = f": {evaluation.skip_reason}" if evaluation.skip_reason else ". It does not say why; a SkipReason would."
        say(f"It would run nothing{why}")
