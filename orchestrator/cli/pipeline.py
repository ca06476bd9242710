"""`orchestrator pipeline`: what there is to run. Reads plans that a location has made, and never a definition."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.completers import mode_names
from orchestrator.cli.options import Json, PipelineArgument, group, workspace
from orchestrator.cli.outcome import OK, show_error
from orchestrator.cli.output import Cell, painter, print_json, put, say, table, whole
from orchestrator.cli.styles import BOLD, DIM

app = group("List pipelines, show their graphs, print configuration templates.")

Mode = Annotated[
    str | None, typer.Option(metavar="MODE", help="The mode; needed when there are several.", autocompletion=mode_names)
]


@app.command("list", epilog="Example: orchestrator pipeline list")
def list_(json: Json = False) -> int:
    """List the pipelines of all locations."""
    from orchestrator.service.workspace import load_locations

    with workspace() as found:
        locations = load_locations(found)
    infos = [
        (location.name, info)
        for location in locations
        if location.process is not None and location.process.loaded is not None
        for info in location.process.loaded.info.pipelines
    ]
    errors = [error for location in locations for error in location.errors()]
    if json and errors and not infos:
        for error in errors[1:]:
            show_error(error)
        raise errors[0]
    if json:
        print_json([{"location": name, **_as_dict(info)} for name, info in infos])
    elif infos:
        rows = [
            [Cell(info.name, BOLD), name, str(info.steps), ", ".join(info.modes), info.description or ""]
            for name, info in infos
        ]
        put(table(["PIPELINE", "LOCATION", "STEPS", "MODES", "DESCRIPTION"], rows, right=frozenset({2})))
    elif not errors:
        say("No pipelines. A location's module defines one with @pipeline.")
    for error in errors:
        show_error(error)
    return errors[0].exit_code if errors else OK


@app.command(epilog="Example: orchestrator pipeline show flights")
def show(name: PipelineArgument, mode: Mode = None, json: Json = False) -> None:
    """Draw the graph of a pipeline, with what each step needs and how it is run."""
    from orchestrator.cli.graph_view import graph_lines
    from orchestrator.planning.plan import PlanRequest
    from orchestrator.service.workspace import find_pipeline, plan

    with workspace() as found:
        pipeline = find_pipeline(found, name)
        chosen = mode or pipeline.info.modes[0]
        planned = plan(found, pipeline, PlanRequest(pipeline=pipeline.info.name, mode=chosen, check=False))
    if json:
        print_json(
            {
                **_as_dict(pipeline.info),
                "location": pipeline.location,
                "description": planned.description,
                "plan": whole(planned.plan),
            }
        )
        return
    paint = painter()
    put(f"{paint(BOLD, pipeline.info.name)}  {paint(DIM, pipeline.info.where)}")
    if planned.description:
        put(planned.description.strip())
    put(f"modes: {', '.join(pipeline.info.modes)}" + _presets(pipeline.info.presets))
    put()
    for line in graph_lines(planned.plan, paint):
        put(line)


@app.command(epilog="Example: orchestrator pipeline config flights > flights.yaml")
def config(name: PipelineArgument, mode: Mode = None, json: Json = False) -> None:
    """Print a configuration template: every field there is, with its type and default."""
    from orchestrator.service.workspace import find_pipeline, template

    with workspace() as found:
        pipeline = find_pipeline(found, name)
        chosen = mode or pipeline.info.modes[0]
        text = template(found, pipeline, chosen)
    if json:
        where = {"pipeline": pipeline.info.name, "location": pipeline.location, "mode": chosen}
        print_json({**where, "template": text})
        return
    put(text, end="")


def _presets(presets: tuple[str, ...]) -> str:
    return f"   presets: {', '.join(presets)}" if presets else ""


def _as_dict(info: object) -> dict[str, object]:
    return dict(whole(info))
