"""Copies of a file at a fixed path that are kept for other runs, in `orchestrator_kept` beside it. Reads no content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestrator.io_managers.kept import KEPT


def kept_for(path: str, run: str) -> str:
    """The copy of the file for another run. Its name does not end like that of a table, so that no glob finds it."""
    return f"{_directory(path)}/{run}"


def keep(filesystem: Any, path: str, run: str) -> None:
    """Copies a file that is about to be replaced, for the run that has stored it."""
    copy = kept_for(path, run)
    if filesystem.type_name == "local":  # object stores have no directories
        Path(copy).parent.mkdir(parents=True, exist_ok=True)
        if _linked(Path(path), Path(copy)):
            return
    filesystem.copy_file(path, copy)


def runs_kept(filesystem: Any, path: str) -> list[str]:
    """The runs for which a copy of this file is kept."""
    from pyarrow.fs import FileSelector

    found = filesystem.get_file_info(FileSelector(_directory(path), allow_not_found=True))
    return [info.base_name for info in found if info.is_file]


def delete_kept(filesystem: Any, path: str, runs: list[str]) -> None:
    """Deletes the copies that are kept for these runs, and the directories with the last one."""
    for run in runs:
        try:
            filesystem.delete_file(kept_for(path, run))
        except FileNotFoundError:
            pass  # another run has deleted it
    if runs and filesystem.type_name == "local":
        for directory in (Path(_directory(path)), Path(_directory(path)).parent):
            try:
                directory.rmdir()
            except OSError:
                return  # there are others


def _directory(path: str) -> str:
    parent, _, name = path.rpartition("/")
    return f"{parent}/.{KEPT}/{name}"


def _linked(path: Path, copy: Path) -> bool:
    """Whether the file has a second name now, which costs nothing; not every disk can do that."""
    try:
        copy.unlink(missing_ok=True)
        os.link(path, copy)
    except OSError:
        return False
    return True
