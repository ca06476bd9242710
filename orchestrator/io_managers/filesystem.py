"""The default IO manager: one pickle file a value, on the local file system. Knows nothing of what it pickles: what
is better kept in a form of its own has an IO manager of its own.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import io_manager
from orchestrator.definitions.types import an
from orchestrator.definitions.values import Failure


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
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            # Private like the state directory it lies in, unless the user chose another place.
            mode = 0o600 if self._base_dir is None else 0o666
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(descriptor, "wb") as file:
                _dump(obj, file, context)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def load_input(self, context: InputContext) -> Any:
        upstream = context.upstream_output
        path = self.path(upstream)
        try:
            with path.open("rb") as file:
                return pickle.load(file)
        except FileNotFoundError:
            raise Failure(
                f"There is no stored value of output {upstream.name!r} of step {upstream.step!r} from run"
                f" {upstream.run_id}: {path} does not exist. Run that step again."
            ) from None

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


def _dump(obj: Any, file: Any, context: OutputContext) -> None:
    try:
        pickle.dump(obj, file, protocol=pickle.HIGHEST_PROTOCOL)
    except OSError:
        raise
    except Exception as error:  # pickling runs the methods of the object, which may raise anything
        raise Failure(
            f"Output {context.name!r} of step {context.step!r}, {an(type(obj).__name__)}, cannot be pickled: {error}."
            " Return plain data, or give the output another io_manager."
        ) from error


@io_manager
def filesystem_io_manager(config: FilesystemConfig = FilesystemConfig()) -> FilesystemIOManager:
    """Pickle files on the local file system: the default."""
    return FilesystemIOManager(config.base_dir)
