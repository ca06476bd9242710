"""The default IO manager: one pickle file a value, on the local file system. Keeps whatever can be pickled; tables too,
though the managers for tables keep them in a form that other programs can read.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import io_manager
from orchestrator.definitions.type_checks import with_article
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.identity import (
    Identity,
    Label,
    check_read,
    check_write,
    decode_label,
    encode_label,
    identity_of,
)
from orchestrator.io_managers.local_files import replacing

# Behind the pickle, where unpickling does not look: the label, its length in four bytes, and this mark.
_MARK = b"orchestrator-value-1"
_TAIL = 4 + len(_MARK)
# What unpickling raises when the file is not whole.
_DAMAGE = (EOFError, pickle.UnpicklingError)


@dataclass(frozen=True)
class FilesystemConfig:
    """`base_dir` is where values are kept; by default the storage directory of the workspace's state."""

    base_dir: str | None = None


class FilesystemIOManager(IOManager):
    """Keeps each value at `<base_dir>/<run id>/<step>/<output>[/<mapping key>]`, or, if it has a version, at
    `<base_dir>/versions/<step>/<output>/<version>`. A file is complete or not there at all."""

    def __init__(self, base_dir: str | os.PathLike[str] | None = None) -> None:
        self._base_dir = base_dir

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        path = self.path(context)
        check_write(_stored_identity(path), context, str(path))
        # Private like the state directory it lies in, unless the user chose another place.
        with replacing(path, 0o600 if self._base_dir is None else 0o666) as file:
            _dump(obj, file, context)
            _write_label(file, identity_of(context))

    def load_input(self, context: InputContext) -> Any:
        upstream = context.upstream_output
        path = self.path(upstream)
        try:
            with path.open("rb") as file:
                check_read(_read_label(file), upstream, str(path), shared=False)
                file.seek(0)
                return pickle.load(file)
        except FileNotFoundError:
            raise Failure(
                f"There is no stored value of output {upstream.name!r} of step {upstream.step!r} from run"
                f" {upstream.run_id}: {path} does not exist. Run that step again."
            ) from None
        except _DAMAGE as error:
            raise Failure(
                f"The stored value of output {upstream.name!r} of step {upstream.step!r} is damaged: {path} cannot be"
                f" unpickled ({error}). Run that step again."
            ) from error

    def has_output(self, context: OutputContext) -> bool:
        return self.path(context).is_file()

    def path(self, context: OutputContext) -> Path:
        """The file of one value."""
        base = self._base_dir if self._base_dir is not None else context.storage_dir
        if base is None:
            raise Failure(
                "filesystem_io_manager has nowhere to keep values outside a workspace:"
                " configure its base_dir, or use memory_io_manager."
            )
        try:
            return Path(base).joinpath(*context.storage_parts())
        except ValueError as error:
            raise Failure(f"Cannot tell which stored value to use: {error}.") from None


def _dump(obj: Any, file: IO[bytes], context: OutputContext) -> None:
    try:
        pickle.dump(obj, file, protocol=pickle.HIGHEST_PROTOCOL)
    except OSError:
        raise
    except Exception as error:  # pickling runs the methods of the object, which may raise anything
        raise Failure(
            f"Output {context.name!r} of step {context.step!r}, {with_article(type(obj).__name__)}, cannot be pickled:"
            f" {error}. Return plain data, or give the output another io_manager."
        ) from error


def _write_label(file: IO[bytes], made_by: Identity) -> None:
    label = encode_label(Label(made_by))
    file.write(label + len(label).to_bytes(4) + _MARK)


def _stored_identity(path: Path) -> Identity | None:
    try:
        with path.open("rb") as file:
            return _read_label(file)
    except OSError:
        return None


def _read_label(file: IO[bytes]) -> Identity | None:
    """Who made the value in the file; None when it does not say."""
    size = file.seek(0, os.SEEK_END)
    if size < _TAIL:
        return None
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4])
    if tail[4:] != _MARK or length > size - _TAIL:
        return None
    file.seek(size - _TAIL - length)
    label = decode_label(file.read(length))
    return None if label is None else label.made_by


@io_manager(in_storage=True)
def filesystem_io_manager(config: FilesystemConfig = FilesystemConfig()) -> FilesystemIOManager:
    """Pickle files on the local file system: the default."""
    return FilesystemIOManager(config.base_dir)
