"""`orchestrator init`: makes a workspace that works, from `template`, to change into one's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Json, single
from orchestrator.cli.output import print_json, put
from orchestrator.errors import NotPossible, StoreError

app = single()

FILES = {
    ".orchestrator.yaml": "workspace.yaml",
    "pipelines.py": "pipelines.py",
    "test_pipelines.py": "tests.py",
}


@app.command(epilog="Example: orchestrator init shop && cd shop && orchestrator run hello")
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; created if it is not there.")] = Path(),
    json: Json = False,
) -> None:
    """Make a working workspace with an example pipeline, ready to run. Files that exist are never overwritten."""
    existing = [name for name in FILES if (directory / name).exists()]
    if existing:
        raise NotPossible(
            f"{', '.join(existing)} {'is' if len(existing) == 1 else 'are'} there already, in {directory.absolute()}.",
            hint="Choose another directory: orchestrator init DIR",
        )
    template = resources.files("orchestrator.cli").joinpath("template")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, source in FILES.items():
            (directory / name).write_text(template.joinpath(source).read_text())
        ignore = directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text(".orchestrator/\n__pycache__/\n")
    except OSError as error:
        raise StoreError(f"{directory.absolute()} cannot be written: {error.strerror}.") from error
    if json:
        print_json({"directory": str(directory.absolute()), "files": list(FILES)})
    else:
        _explain(directory)


def _explain(directory: Path) -> None:
    go = "" if directory == Path() else f"cd {directory} && "
    put(f"Made a workspace in {directory.absolute()}:\n")
    put("  .orchestrator.yaml   where the pipelines are, and how they are run")
    put("  pipelines.py         an example pipeline, a schedule and a sensor (both off): change them")
    put("  test_pipelines.py    tests of it\n")
    put("Next:\n")
    put(f"  {go}orchestrator run hello")
    put("  orchestrator asset show hello/longest_words     what it made")
    put("  orchestrator schedule next every_morning        when the schedule would run it")
    put("  orchestrator sensor start new_texts             react to texts that are put into inbox/ ...")
    put("  orchestrator daemon start                       ... for as long as this runs")
    put("  python -m pytest                                the tests, if pytest is installed")
