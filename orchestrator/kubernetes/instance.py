"""The id of a state directory: what its objects in a cluster are labeled and named by.

It is made once and stays, whatever the machine is called and wherever the directory is moved: by it the Job of an
attempt is found again. A different one would make the attempt again, so a damaged file is an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import StoreError
from orchestrator.private_file import FILE_MODE
from orchestrator.regular import read_regular, why

_HINT = "Restore the file from a copy. If no step of it runs in a cluster, it may be deleted: a new one is made."


def instance_of(state: Path) -> str:
    """The id of the state directory, 12 hexadecimal digits; made now if it has none. A directory that is not there has
    one that is not kept. Raises StoreError."""
    file = state / "instance.json"
    try:
        found = _read(file)
        if found is None and state.is_dir():
            _make(file)
            found = _read(file)
    except OSError as error:
        raise StoreError(f"The id of the state directory ({file}) cannot be used: {why(error)}.", hint=_HINT) from error
    return found or _digest(str(state))


def _read(file: Path) -> str | None:
    try:
        text = read_regular(file, 4096)
    except FileNotFoundError:
        return None
    try:
        content = json.loads(text)
        found, digest = str(content["id"]), content["digest"]
    except (ValueError, TypeError, LookupError) as error:
        raise StoreError(f"The id of the state directory ({file}) is damaged.", hint=_HINT) from error
    if digest != _digest(found):
        raise StoreError(f"The id of the state directory ({file}) is damaged.", hint=_HINT)
    return found


def _make(file: Path) -> None:
    """Writes an id unless another process has: what has that name is whole."""
    new = secrets.token_hex(6)
    unfinished = file.with_name(f".{file.name}.{new}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"id": new, "digest": _digest(new)}, stream)
        stream.flush()
        os.fsync(descriptor)
    try:
        with suppress(FileExistsError):
            os.link(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
