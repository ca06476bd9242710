"""The command tree, without the commands: their modules are imported when they are called."""

from __future__ import annotations

import importlib
import os
import sys
from copy import copy
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.outcome import exit_with_outcome, wants_json
from orchestrator.cli.output import prepare_streams, put
from orchestrator.cli.plain_values import take_plain_values_as_they_are
from orchestrator.errors import OrchestratorError, UsageError

# name: (module, what `--help` says, heading). A module has `app`: a group of commands, or a single one.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("init", "Make a working workspace with an example, ready to run.", "Pipelines"),
    "run": ("run", "Run a pipeline, with live progress.", "Pipelines"),
    "pipeline": (
        "pipeline",
        "List pipelines, show their graphs, print configuration templates.",
        "Pipelines",
    ),
    "schedule": ("schedule", "Turn schedules on and off, look at their ticks and at what comes next.", "Automation"),
    "sensor": (
        "sensor",
        "Turn sensors on and off, look at their ticks, cursors, keys and failed alerts.",
        "Automation",
    ),
    "simulate": ("simulate", "Show what schedules would do, before they do it.", "Automation"),
    "daemon": ("daemon", "Start, stop and watch the process that runs schedules and sensors.", "Automation"),
    "runs": ("runs", "List, show, follow, cancel, resume, acknowledge and delete runs.", "Looking back"),
    "asset": ("asset", "Look at the assets that runs have written.", "Looking back"),
    "sql": ("sql", "Ask the state a question in SQL.", "Looking back"),
    "status": ("status", "Say whether all is well, and if not, what and why.", "Operating"),
    "kubernetes": (
        "kubernetes",
        "Check the cluster that steps run in, and look at what is there of them.",
        "Operating",
    ),
    "completion": ("completion", "Print the script that completes command lines in a shell.", "Operating"),
    "config": ("config", "Check and show the workspace file.", "Operating"),
    "state": ("state", "Back up, restore, compact, rebuild and check the state.", "Operating"),
}


# Set by the script that `orchestrator completion` prints.
_COMPLETION_VARIABLE = "_ORCHESTRATOR_COMPLETE"


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and imports each when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names only: what a near miss is looked for in

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orchestrator.cli.{COMMANDS[cmd_name][0]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        for leaf in getattr(command, "commands", {"": command}).values():
            _take_workspace(leaf, self)
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for argument in args:
            _check_text(argument)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer would end without a word
            raise typer.Abort from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for heading in dict.fromkeys(heading for _, _, heading in COMMANDS.values()):
            rows = [(name, text) for name, (_, text, where) in COMMANDS.items() if where == heading]
            with formatter.section(heading):
                formatter.write_dl(rows, col_max=12, col_spacing=3)


def _check_text(argument: str) -> None:
    """Refuses an argument that is not UTF-8, as nothing that is stored can be; a file may have any name."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        if not os.path.lexists(argument):
            raise UsageError(f"The argument {argument!a} is not UTF-8.") from None


def _take_workspace(command: Any, group: Any) -> None:
    """Has a command take --workspace too, so that it may stand before its name or behind it."""
    option = copy(next(parameter for parameter in group.params if parameter.name == "workspace"))
    option.expose_value = False
    command.params.append(option)


def _use_workspace(ctx: typer.Context, workspace: str | None) -> str | None:
    if workspace is not None:
        from orchestrator.settings import WORKSPACE_VARIABLE, named_workspace

        try:
            os.environ[WORKSPACE_VARIABLE] = str(named_workspace(workspace, "--workspace"))
        except OrchestratorError:
            if not ctx.resilient_parsing:  # else it is still being typed
                raise
    return workspace


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""Begin with `orchestrator init`, then `orchestrator run hello`. Every command has --help with an example.

\b
Exit codes: 0 done; 1 a run failed, or all is not well; 2 usage; 3 configuration or definition;
4 not found, or not possible now; 5 state; 6 executor; 7 daemon; 8 timed out; 70 a bug;
130 interrupted or canceled; 141 the output was not read.""",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from orchestrator._version import __version__

        put(f"orchestrator {__version__}")
        raise typer.Exit


@app.callback()
def orchestrator(
    workspace: Annotated[  # noqa: ARG001
        str | None,
        typer.Option(
            "--workspace",
            "-w",
            metavar="PATH",
            callback=_use_workspace,
            help="The workspace file, or the directory it is in.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run, schedule and watch data pipelines on one machine."""
    if debug:
        os.environ["ORCHESTRATOR_DEBUG"] = "1"


def run_command_line(arguments: list[str] | None = None) -> None:
    """Runs a command line and exits the process with its code."""
    prepare_streams()
    take_plain_values_as_they_are()
    if _COMPLETION_VARIABLE in os.environ:
        _prepare_completion()
    given = sys.argv[1:] if arguments is None else arguments
    exit_with_outcome(
        lambda: app(args=arguments, standalone_mode=False, prog_name="orchestrator"), json=wants_json(given)
    )


def _prepare_completion() -> None:
    """Lets a shell ask for completions. It shows them under what is being typed: no place for errors."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (until the process ends)


if __name__ == "__main__":
    sys.exit("Run `python -m orchestrator`.")
