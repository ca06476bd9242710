"""Options that several commands share, what they open, and confirmation prompts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.cli.completers import asset_names, pipeline_names, run_ids, tick_states
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.service.session import Session
    from orchestrator.service.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, a unique beginning of it, or `last`.",
        autocompletion=run_ids,
    ),
]
PipelineArgument = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline's name, or location/name.",
        autocompletion=pipeline_names,
    ),
]
OptionalPipelineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline's name, or location/name.",
        autocompletion=pipeline_names,
    ),
]
AssetArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help='The asset: raw/orders, or \'["raw", "orders"]\'.',
        autocompletion=asset_names,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Exit with 4 if a tag limit is full, and do not wait for a slot.")
]
EveryOne = Annotated[bool, typer.Option("--all", help="All of them.")]
TickStates = Annotated[
    list[str] | None, typer.Option(metavar="STATE", help="Only ticks in this state.", autocompletion=tick_states)
]
TickLimit = Annotated[int, typer.Option(min=0, metavar="N", help="How many at most; 0 for all.")]
TickId = Annotated[str | None, typer.Option("--tick", metavar="ID", help="Only this tick.")]
FollowLogs = Annotated[bool, typer.Option("--follow", "-f", help="Print new output as it comes.")]
Tail = Annotated[bool, typer.Option("--tail", help="Follow live.")]


class Command(TyperCommand):
    """A command whose help names values in one way: RUN, [RUN], RUN... and says which options repeat."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_usage(parameter) for parameter in self.params if is_argument(parameter))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments = [(_usage(one), getattr(one, "help", None) or "") for one in self.params if is_argument(one)]
        options = [
            (record[0], _with_repeating(record[1], parameter))
            for parameter in self.get_params(ctx)
            if not is_argument(parameter) and (record := parameter.get_help_record(ctx)) is not None
        ]
        for heading, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def is_argument(parameter: Any) -> bool:
    """Whether a parameter of a command is given by its place."""
    return bool(parameter.param_type_name == "argument")


def _usage(argument: Any) -> str:
    name = f"{argument.metavar}" if argument.required else f"[{argument.metavar}]"
    return f"{name}..." if argument.nargs == -1 else name


def _with_repeating(text: str, option: Any) -> str:
    if not option.multiple or "repeat" in text:
        return text
    sentence, dot, rest = text.partition(".")
    return f"{sentence}; may be repeated{dot}{rest}"


class House(typer.Typer):
    """A typer app whose commands are ours."""

    def command(self, *given: Any, **more: Any) -> Any:
        return super().command(*given, **{"cls": Command, **more})


class Group(TyperGroup):
    """A group whose help has the first sentence of each command, whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, (self.commands[name].help or "").split("\n")[0]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows, col_max=12, col_spacing=3)


def group(help_text: str) -> typer.Typer:
    """A group of commands in the house manner."""
    return House(cls=Group, help=help_text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def single() -> typer.Typer:
    """An app of one command."""
    return House(rich_markup_mode=None, add_completion=False)


@contextmanager
def workspace(*, quiet: bool = False, only_reads: bool = False) -> Iterator[Workspace]:
    """The workspace that the command works in; its processes end afterwards. What takes long is said, unless `quiet`.

    A command that only reads needs no state directory: where none can be made, it finds an empty one.
    """
    from orchestrator.cli.output import say
    from orchestrator.service.workspace import Workspace

    found = Workspace.find() if quiet else Workspace.find(tell=say)
    found.only_reads = only_reads
    try:
        yield found
    finally:
        found.close()


@contextmanager
def session(*, only_reads: bool = False) -> Iterator[Session]:
    """The workspace's stored state, up to date with all journals."""
    with workspace(only_reads=only_reads) as found, session_of(found) as opened:
        yield opened


def session_of(found: Workspace) -> AbstractContextManager[Session]:
    """The stored state of a workspace. Prints a notice before it waits for another process."""
    from orchestrator.cli.output import say
    from orchestrator.service.session import open_session

    return open_session(found.state, tell=say)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Around a view that only Ctrl-C ends: it ends without a word."""
    from orchestrator.cli.outcome import INTERRUPTED

    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def confirm(question: str, yes: bool) -> None:
    """Returns if the user agrees; without a terminal to ask on, only if they said so beforehand."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Refusing without confirmation: stdin is not a terminal.", hint="Add --yes to confirm.")
    from orchestrator.cli.outcome import INTERRUPTED
    from orchestrator.cli.output import say, shown

    try:
        agreed = typer.confirm(shown(question), err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        agreed = False
        say("")
    if not agreed:
        say("Nothing was changed.")
        raise typer.Exit(INTERRUPTED)
