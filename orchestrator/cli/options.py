"""Options that several commands share, what they open, and what they ask. What one command alone has stays with that
command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.operations.workspace import Workspace
    from orchestrator.store.session import Store

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, a unique beginning of it, or `last`.",
        autocompletion=lambda: _run_ids(),
    ),
]
PipelineArgument = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline's name, or location/name.",
        autocompletion=lambda: _pipeline_names(),
    ),
]
OptionalPipelineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[PIPELINE]",
        help="The pipeline's name, or location/name.",
        autocompletion=lambda: _pipeline_names(),
    ),
]
AssetArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help='The asset: raw/orders, or \'["raw", "orders"]\'.',
        autocompletion=lambda: _asset_names(),
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Exit with 4 if a tag limit is full, and do not wait for a slot.")
]
EveryOne = Annotated[bool, typer.Option("--all", help="All of them.")]
TickStates = Annotated[
    list[str] | None, typer.Option(metavar="STATE", help="Only ticks in this state; may be repeated.")
]
TickLimit = Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")]
TickId = Annotated[str | None, typer.Option("--tick", metavar="ID", help="Only this tick.")]
FollowLogs = Annotated[bool, typer.Option("--follow", "-f", help="Print new output as it comes.")]
Tail = Annotated[bool, typer.Option("--tail", help="Follow live.")]


# A shell that completes a word waits for this long for locations to load.
COMPLETION_S = 2.0


class Group(TyperGroup):
    """A group whose help has the first sentence of each command, whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, (self.commands[name].help or "").split("\n")[0]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows, col_max=12, col_spacing=3)


def group(help_text: str) -> typer.Typer:
    """A group of commands in the house manner."""
    return typer.Typer(cls=Group, help=help_text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@contextmanager
def workspace(*, quiet: bool = False, only_reads: bool = False) -> Iterator[Workspace]:
    """The workspace that the command works in; its processes end afterwards. What takes long is said, unless `quiet`.

    A command that only reads needs no state directory: where none can be made, it finds an empty one.
    """
    from orchestrator.cli.output import say
    from orchestrator.operations.workspace import Workspace

    found = Workspace.find() if quiet else Workspace.find(tell=say)
    found.only_reads = only_reads
    try:
        yield found
    finally:
        found.close()


@contextmanager
def store(*, only_reads: bool = False) -> Iterator[Store]:
    """The workspace's store, up to date with all journals."""
    with workspace(only_reads=only_reads) as found, store_of(found) as opened:
        yield opened


def store_of(found: Workspace) -> AbstractContextManager[Store]:
    """The store of a workspace; if somebody else has it, that is said before it is waited for."""
    from orchestrator.cli.output import say
    from orchestrator.store.session import open_store

    return open_store(found.state, tell=say)


def confirm(question: str, yes: bool) -> None:
    """Returns if the user agrees; without a terminal to ask on, only if they said so beforehand."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("This destroys something and nobody can be asked.", hint="Say --yes if it is meant.")
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


def _run_ids() -> list[str]:
    from orchestrator.store.runs import run_ids

    return _completions(lambda: [*_opened(run_ids), "last"])


def _pipeline_names() -> list[str]:
    from orchestrator.operations.workspace import load_locations

    def names() -> list[str]:
        with workspace(quiet=True) as found:
            loaded = load_locations(found, patience=COMPLETION_S)
        return [info.name for location in loaded for info in location.pipelines()]

    return _completions(names)


def _asset_names() -> list[str]:
    from orchestrator.records import asset_name
    from orchestrator.store.assets import list_assets

    return _completions(lambda: [asset_name(asset.asset) for asset in _opened(list_assets)])


def _opened(operation: Any) -> Any:
    with store(only_reads=True) as opened:
        return opened(operation)


def _completions(find: Any) -> list[str]:
    try:
        return list(find())
    except Exception:  # a shell that completes a word has no place to show an error
        return []
