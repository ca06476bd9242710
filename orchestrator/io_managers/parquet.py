"""Tables as parquet files, on a local disk or in object storage. Which kinds of tables there are is known to `frames`
only.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.definitions.values import AssetMaterialization, Failure, Metadata
from orchestrator.io_managers.frames import from_arrow, mapping_keys, materialization, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

# In the file's own schema metadata: which library's table it was, so that it can come back as the same.
_KIND = b"orchestrator.table"


class ParquetIOManager(IOManager):
    """Keeps each table at `<base_uri>/<run id>/<step>/<output>[/<mapping key>].parquet`, or, when the output declares
    `metadata={"path": "daily/orders.parquet"}`, at that path below `base_uri`, where each run replaces it. Of a mapped
    step or a dynamic output that is one file a key, `daily/orders/<key>.parquet`.

    `base_uri` is a local path or a URI that pyarrow understands (`s3://bucket/prefix`, `gs://...`). Credentials and
    endpoints come from the environment or from the URI's query, as pyarrow documents.
    """

    def __init__(self, base_uri: str | os.PathLike[str]) -> None:
        self._base_uri = os.fspath(base_uri)

    def handle_output(self, context: OutputContext, obj: Any) -> AssetMaterialization:
        import pyarrow.parquet as pq

        table, kind = to_arrow(obj, context, "parquet_io_manager")
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KIND: kind.encode()})
        filesystem, path = self._place(context)
        if filesystem.type_name == "local":
            _write_locally(table, Path(path))
        else:
            pq.write_table(table, path, filesystem=filesystem)
        size = filesystem.get_file_info(path).size
        return materialization(context, table, {"path": Metadata.path(self._shown(context)), "bytes": size})

    def load_input(self, context: InputContext) -> Any:
        import pyarrow.parquet as pq

        filesystem, path = self._place(context.upstream_output)
        try:
            # ParquetFile and not read_table: the latter infers partitions from directories called `a=b`.
            with filesystem.open_input_file(path) as source:
                table = pq.ParquetFile(source).read()
        except FileNotFoundError:
            upstream = context.upstream_output
            raise Failure(
                f"There is no stored table for output {upstream.name!r} of step {upstream.step!r}:"
                f" {self._shown(upstream)} does not exist. Run that step again."
            ) from None
        kind = (table.schema.metadata or {}).get(_KIND, b"pyarrow").decode()
        return from_arrow(table, context.type, kind)

    def has_output(self, context: OutputContext) -> bool:
        if "path" in context.metadata:
            return False  # one file for all versions
        filesystem, path = self._place(context)
        return bool(filesystem.get_file_info(path).is_file)

    def _place(self, context: OutputContext) -> tuple[Any, str]:
        from pyarrow.fs import FileSystem, LocalFileSystem

        relative = _relative_path(context)
        if "://" not in self._base_uri:
            return LocalFileSystem(), str(Path(self._base_uri).absolute() / relative)
        filesystem, base = FileSystem.from_uri(self._base_uri)
        return filesystem, f"{base.rstrip('/')}/{relative}"

    def _shown(self, context: OutputContext) -> str:
        if "://" not in self._base_uri:
            return str(Path(self._base_uri).absolute() / _relative_path(context))
        return f"{without_credentials(self._base_uri).rstrip('/')}/{_relative_path(context)}"


def _relative_path(context: OutputContext) -> str:
    declared = context.metadata.get("path")
    if declared is None:
        try:
            return "/".join(context.storage_parts()) + ".parquet"
        except ValueError as error:
            raise Failure(f"Cannot tell which stored table to use: {error}.") from None
    path = PurePosixPath(str(declared))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise Failure(
            f"The path {str(declared)!r} of output {context.name!r} does not name a file below the base_uri of"
            " parquet_io_manager."
        )
    keys = mapping_keys(context)
    if keys:
        # One file a key: `daily.parquet` becomes `daily/<key>.parquet`.
        path = path.with_suffix("").joinpath(*keys[:-1], keys[-1] + path.suffix)
    return str(path)


def without_credentials(uri: str) -> str:
    """The URI as it may be shown: without its query and the user in front of the host, where secrets stand."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _write_locally(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(table, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def parquet_io_manager(base_uri: str | os.PathLike[str]) -> IOManagerDefinition:
    """An IO manager that keeps tables (pyarrow, pandas, polars) as parquet files below `base_uri`, and records each
    as an asset with its size, columns and first rows."""

    def parquet() -> ParquetIOManager:
        return ParquetIOManager(base_uri)

    parquet.__doc__ = f"Parquet files below {without_credentials(os.fspath(base_uri))}."
    return IOManagerDefinition(parquet, preload=["pyarrow", "pyarrow.parquet", "pyarrow.fs"])
