"""`orchestrator asset`: the catalog of what runs have written. Data is never touched, nor read."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any

import typer

from orchestrator.cli.completers import asset_names
from orchestrator.cli.options import AssetArgument, Json, Yes, confirm, group, session
from orchestrator.cli.output import print_json, put, say, whole
from orchestrator.errors import UsageError
from orchestrator.model.asset import asset_name, asset_parts

app = group("Look at the assets that runs have written.")


@app.command("list", epilog="Example: orchestrator asset list raw")
def list_(
    prefix: Annotated[
        str | None, typer.Argument(metavar="PREFIX", help="Only assets below this key.", autocompletion=asset_names)
    ] = None,
    json: Json = False,
) -> None:
    """List the assets with what was last said of each."""
    from orchestrator import clock
    from orchestrator.cli.assets_view import asset_table

    with session(only_reads=True) as opened:
        assets = opened.assets(parse_key(prefix) if prefix else ())
    if json:
        print_json([_with_name(asset) for asset in assets])
    elif assets:
        put(asset_table(assets, clock.now()))
    else:
        say("No assets yet. A step records one with context.log_asset(...), and so do IO managers that store tables.")


@app.command(epilog="Example: orchestrator asset show raw/orders")
def show(key: AssetArgument, json: Json = False) -> None:
    """Show an asset: its last materialization with all metadata."""
    from orchestrator import clock
    from orchestrator.cli.assets_view import asset_page
    from orchestrator.cli.output import painter

    with session(only_reads=True) as opened:
        asset = opened.asset(parse_key(key))
    if json:
        print_json(_with_name(asset))
    else:
        for line in asset_page(asset, clock.now(), painter()):
            put(line)


@app.command(epilog="Example: orchestrator asset history raw/orders --partition 2026-11-01")
def history(
    key: AssetArgument,
    partition: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Only this partition.")] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many at most; 0 for all.")] = 20,
    json: Json = False,
) -> None:
    """List the materializations of an asset, the newest first."""
    from orchestrator import clock
    from orchestrator.cli.assets_view import history_table
    from orchestrator.model.filters import HistoryFilter

    parsed = parse_key(key)
    with session(only_reads=True) as opened:
        opened.asset(parsed)
        which = HistoryFilter(partitions=tuple(partition or ()), limit=limit or None)
        found = opened.asset_history(parsed, which)
    if json:
        print_json([_with_name(one) for one in found])
    elif found:
        put(history_table(found, clock.now()))
    else:
        say("No materialization matches.")


@app.command(epilog="Example: orchestrator asset wipe raw/orders")
def wipe(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="The assets to forget.", autocompletion=asset_names)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Forget every asset.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove assets from the catalog. Runs and data stay, and an asset comes back with its next materialization."""
    from orchestrator import clock

    if bool(keys) == all_:
        raise UsageError("Name assets, or say --all; not both.")
    parsed = tuple(parse_key(key) for key in keys or ())
    with session() as opened:
        for key in parsed:
            opened.asset(key)
    confirm(
        "Wipe all assets from the catalog?" if all_ else f"Wipe {', '.join(keys or ())} from the catalog?",
        yes,
    )
    with session() as opened:
        count = opened.wipe_assets(None if all_ else parsed, clock.now())
    if json:
        print_json({"wiped": count})
        return
    put(f"Wiped {count} asset{'' if count == 1 else 's'}.")


def _with_name(record: Any) -> dict[str, Any]:
    """A record about an asset, with the asset's name as people write it."""
    return {"name": asset_name(record.asset), **whole(record)}


def parse_key(text: str) -> tuple[str, ...]:
    """An asset key as typed: parts separated by anything but letters, digits and `_`, or a JSON list of parts."""
    try:
        parts = json_module.loads(text) if text.lstrip().startswith("[") else asset_parts(text)
    except (ValueError, RecursionError):
        parts = ()
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise UsageError(
            f"{text!r} is not an asset key.",
            hint='Write raw/orders, or \'["raw", "orders"]\' for exact parts.',
        )
    return tuple(parts)
