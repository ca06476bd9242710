"""`orchestrator config`: checks and shows the workspace file, and everything it loads."""

from __future__ import annotations

from orchestrator.cli.options import Json, group, workspace
from orchestrator.cli.outcome import OK, error_json, show_error
from orchestrator.cli.output import painter, print_json, put, say
from orchestrator.cli.styles import BOLD, DIM, GREEN, RED

app = group("Check and show the workspace file.")


@app.command(epilog="Example: orchestrator config check && git commit")
def check(json: Json = False) -> int:
    """Check the workspace file and everything it names: locations, pipelines, presets, the executor, the state."""
    from orchestrator.protocol.messages import SPAWN_HINT
    from orchestrator.service.settings_check import executor_problems, settings_problems
    from orchestrator.service.workspace import load_locations

    with workspace() as found:
        wrong = settings_problems(found)
        locations = load_locations(found)
        wrong += executor_problems(found, locations)
    forked = {one.name for one in found.settings.locations if one.isolation == "fork"}
    unforkable = {
        location.name: location.process.loaded.fork_problem
        for location in locations
        if location.name in forked
        and location.process is not None
        and location.process.loaded is not None
        and location.process.loaded.fork_problem is not None
    }
    broken = [*wrong, *(error for location in locations for error in location.errors())]
    if json:
        print_json(
            {
                "ok": not broken,
                "workspace": str(found.settings.path),
                "errors": [error_json(error) for error in broken],
                "locations": [
                    {
                        "location": location.name,
                        "loaded": location.error is None,
                        "error": str(location.error) if location.error else None,
                        "pipelines": _pipelines(location),
                        "broken": location.broken(),
                        "fork_problem": unforkable.get(location.name),
                    }
                    for location in locations
                ],
            }
        )
    else:
        paint = painter()
        put(f"{found.settings.path}")
        for location in locations:
            state = paint(RED, "✗ broken") if location.error else paint(GREEN, "✓ loaded")
            if location.broken():
                state = paint(RED, "✗ in part")
            put(f"  {state}  {paint(BOLD, location.name)}  {paint(DIM, ', '.join(_pipelines(location)))}")
        for name, problem in unforkable.items():
            say(f"warning: Runs of location {name!r} will be refused. It cannot be forked safely: {problem}.")
            say(f"hint: {SPAWN_HINT}")
    for error in broken:
        show_error(error)
    return broken[0].exit_code if broken else OK


@app.command(epilog="Example: orchestrator config show --json")
def show(json: Json = False) -> None:
    """Show the settings as they apply, defaults included. Values from the environment are named, never printed."""
    import msgspec
    import yaml

    with workspace() as found:
        shown = msgspec.to_builtins(found.settings, enc_hook=str)
    if json:
        print_json(shown)
    else:
        path = shown.pop("path")
        shown["retention"] = {what: _age(seconds) for what, seconds in shown["retention"].items()}
        put(f"# {path}")
        put(yaml.safe_dump(shown, sort_keys=False, default_flow_style=None).rstrip())


def _age(seconds: float) -> str | float:
    """An age as people write it in the workspace file."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return seconds


def _pipelines(location: object) -> list[str]:
    process = getattr(location, "process", None)
    return [info.name for info in process.loaded.info.pipelines] if process and process.loaded else []
