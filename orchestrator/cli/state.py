"""`orchestrator state`: backups, checks and repairs of the state directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.completers import backup_files
from orchestrator.cli.options import Json, Yes, confirm, group, workspace
from orchestrator.cli.outcome import OK
from orchestrator.cli.output import print_json, put, say, table, whole
from orchestrator.cli.state_view import rebuilt_words
from orchestrator.errors import StoreError

if TYPE_CHECKING:
    from orchestrator.state_dir import StateDir

app = group("Back up, restore, compact, rebuild and check the state.")


@app.command(epilog="Example: orchestrator state backup")
def backup(json: Json = False) -> None:
    """Copy the database into the backups of the state directory; works at any time."""
    from orchestrator.service.maintenance import back_up_state

    with workspace() as found:
        path = back_up_state(found.state)
    print_json({"backup": str(path)}) if json else put(str(path))


@app.command(epilog="Example: orchestrator state restore 20261122T131500-manual.duckdb")
def restore(
    backup: Annotated[
        Path | None,
        typer.Argument(
            metavar="BACKUP",
            help="A file made by `state backup`, or the name of one; without it, the backups are listed.",
            autocompletion=backup_files,
        ),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put a backup in the database's place. What is there now is backed up first; journals are taken in again."""
    from orchestrator.service.maintenance import find_backup, restore_state

    with workspace() as found:
        if backup is None:
            _list_backups(found.state, json)
            return
        chosen = find_backup(found.state, backup)
        confirm(f"Replace the database by {chosen}?", yes)
        saved = restore_state(found.state, chosen)
    if json:
        print_json({"restored": str(chosen), "saved": str(saved)})
    else:
        put(f"Restored {chosen}. What was there before is in {saved}.")


def _list_backups(state: StateDir, json: bool) -> None:
    from orchestrator.service.maintenance import backups

    there = {path: size for path in backups(state) if (size := _bytes(path)) is not None}
    if json:
        print_json({"backups": [{"path": str(path), "bytes": size} for path, size in there.items()]})
    elif there:
        put(table(["BACKUP", "SIZE"], [[path.name, _size(size)] for path, size in there.items()]))
        say(f"They are in {state.backups}. To restore one: orchestrator state restore {next(iter(there)).name}")
    else:
        say("No backups yet. Make one: orchestrator state backup")


@app.command(epilog="Example: orchestrator state compact")
def compact(json: Json = False) -> None:
    """Make the state small: pack the files of runs that are over, and rewrite the database without its holes."""
    from orchestrator.service.maintenance import compact_state

    with workspace() as found:
        result = compact_state(found.state)
    if json:
        print_json(result)
    else:
        put(
            f"Packed {_counted(result.packed, 'run')}; {_size(result.bytes_before)} became {_size(result.bytes_after)}."
        )


@app.command(epilog="Example: orchestrator state rebuild")
def rebuild(json: Json = False) -> None:
    """Make the index anew from the journals. What has no journal (ticks, cursors) is kept, as far as it can be read."""
    from orchestrator.service.maintenance import newest_backup, rebuild_index

    with workspace() as found:
        rebuilt = rebuild_index(found.state)
        backup = newest_backup(found.state)
    if json:
        print_json({**whole(rebuilt), "backup": str(backup) if backup is not None else None})
        return
    put(f"Rebuilt the index from {_counted(rebuilt.lines, 'event')} of {_counted(rebuilt.runs, 'run')}.")
    for line in rebuilt_words(rebuilt, backup):
        say(line)


@app.command(epilog="Example: orchestrator state check --repair")
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired; originals go to the backups.")
    ] = (False),
    json: Json = False,
) -> int:
    """Look for damage: files that cannot be read, an index that differs from the journals, leftovers."""
    from orchestrator.service.maintenance import check_state
    from orchestrator.service.repair import repair_state
    from orchestrator.state_dir import repair_layout

    done = []
    with workspace() as found:
        if repair:
            done += repair_layout(found.settings.state_path)
            done += repair_state(found.state)
        problems = check_state(found.state)
    if json:
        print_json({"ok": not problems, "problems": problems, **({"repaired": done} if repair else {})})
        return StoreError.exit_code if problems else OK
    for line in done:
        put(line)
    if not problems:
        put("The state is in order.")
    for problem in problems:
        say(problem)
    if problems and not repair:
        say("`orchestrator state check --repair` repairs what it can.")
    return StoreError.exit_code if problems else OK


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _bytes(path: Path) -> int | None:
    """The size of a backup; None when it was removed this moment."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _size(size: int) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024  # type: ignore[assignment]
    return f"{size:.1f} GB"
