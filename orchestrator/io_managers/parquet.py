"""Tables as parquet files, on a local disk or in object storage. Which kinds of tables there are is known to `frames`
only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.definitions.values import AssetMaterialization, Failure, Metadata
from orchestrator.io_managers.arrow_types import inexact
from orchestrator.io_managers.catalog import materialization
from orchestrator.io_managers.frames import Tabular, form_of_library, from_tabular, stored_form
from orchestrator.io_managers.identity import Identity, Label, check_read, check_write, decode_label, encode_label
from orchestrator.io_managers.kept import ended_runs, run_to_keep, run_to_look_for
from orchestrator.io_managers.kept_files import delete_kept, keep, kept_for, runs_kept
from orchestrator.io_managers.local_files import replacing
from orchestrator.io_managers.places import mapping_keys, with_run_id, without_credentials
from orchestrator.io_managers.stored_tables import check_kept, label_of, refused_by, tabular_of

if TYPE_CHECKING:
    import pyarrow as pa

# In the file's own schema metadata: which library's table it was (all that version 0.1.0 reads and writes), and the
# label.
_LIBRARY = b"orchestrator.table"
_LABEL = b"orchestrator.label"


class ParquetIOManager(IOManager):
    """Keeps each table at `<base_uri>/<run id>/<step>/<output>[/<mapping key>].parquet`, or, when the output declares
    `metadata={"path": "daily/orders.parquet"}`, at that path below `base_uri`, where each run replaces it. Of a mapped
    step or a dynamic output that is one file a key, `daily/orders/<key>.parquet`. `{run_id}` in the path stands for the
    run, which gives each run a file of its own.

    `base_uri` is a local path or a URI that pyarrow understands (`s3://bucket/prefix`, `gs://...`). Credentials and
    endpoints come from the environment or from the URI's query, as pyarrow documents.
    """

    def __init__(self, base_uri: str | os.PathLike[str]) -> None:
        self._base_uri = os.fspath(base_uri)

    def handle_output(self, context: OutputContext, obj: Any) -> AssetMaterialization:
        tabular = stored_form(obj, context, "parquet_io_manager")
        filesystem, path = self._place(context)
        shown = self._shown(context)
        make_room = partial(_make_room, filesystem, path, context, shown)
        if filesystem.type_name == "local":
            with replacing(Path(path), before=make_room) as file:
                _write(tabular, file, context)
                size = file.tell()
        else:
            size = _upload(tabular, filesystem, path, context, make_room)
        return materialization(context, tabular.table, {"path": Metadata.path(shown), "bytes": size})

    def load_input(self, context: InputContext) -> Any:
        import pyarrow as pa

        upstream = context.upstream_output
        filesystem, path = self._place(upstream)
        shown = self._shown(upstream)
        try:
            table, label = _read_for(filesystem, path, upstream)
        except FileNotFoundError:
            raise Failure(
                f"There is no stored table for output {upstream.name!r} of step {upstream.step!r}:"
                f" {shown} does not exist. Run that step again."
            ) from None
        except pa.ArrowInvalid as error:
            raise Failure(f"{shown} is no parquet file that can be read: {error}. Run that step again.") from error
        check_read(label.made_by, upstream, shown, shared="path" in upstream.metadata)
        return from_tabular(tabular_of(table, label), context.type)

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
    path = PurePosixPath(with_run_id(str(declared), context))
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


# --- writing ---


def _make_room(filesystem: Any, path: str, context: OutputContext, shown: str) -> None:
    """Keeps the file that is there for the run that needs it; fails when that is this run."""
    is_fixed = "path" in context.metadata
    if not is_fixed and filesystem.type_name != "local":
        return  # object stores tell names apart by case, so no other output can have this place
    there = _stored_identity(filesystem, path)
    check_write(there, context, shown)
    if not is_fixed:
        return
    run = run_to_keep(there, context)
    if run is not None:
        keep(filesystem, path, run)
    delete_kept(filesystem, path, ended_runs(runs_kept(filesystem, path), context))


def _write(tabular: Tabular, file: IO[bytes], context: OutputContext) -> None:
    """Writes a file that will come back as the same table, or raises Failure naming the column that would not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = tabular.table
    label = label_of(tabular, context, with_skeleton=bool(inexact(table.schema, _is_exact)))
    marks = {_LIBRARY: tabular.library.encode(), _LABEL: encode_label(label)}
    try:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **marks}), file)
    except pa.ArrowException:
        refused_by(tabular, lambda one: pq.write_table(one, pa.BufferOutputStream()), context, "parquet_io_manager")
        raise
    file.flush()
    check_kept(
        tabular, label, lambda positions: _columns(file, table, positions), _is_exact, context, "parquet_io_manager"
    )


def _columns(file: IO[bytes], table: pa.Table, positions: list[int]) -> pa.Table:
    import pyarrow.parquet as pq

    names = table.column_names
    wanted = [names[position] for position in positions]
    end = file.seek(0, os.SEEK_END)
    read = pq.ParquetFile(file).read(columns=wanted if len(set(names)) == len(names) else None)
    file.seek(end)
    return read.select(wanted if len(set(names)) == len(names) else positions)


def _upload(tabular: Tabular, filesystem: Any, path: str, context: OutputContext, make_room: Callable[[], None]) -> int:
    """Writes the file in memory, then uploads it: the object is replaced once it is complete, and not before."""
    import io

    file = io.BytesIO()
    _write(tabular, file, context)
    content = file.getbuffer()
    make_room()

    def upload() -> None:
        with filesystem.open_output_stream(path) as stream:
            stream.write(content)

    # In a thread, where no signal is raised: closing a stream half-way, as an exception would, publishes what is there.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(upload).result()
    return len(content)


# --- reading ---


def _read_for(filesystem: Any, path: str, context: OutputContext) -> tuple[pa.Table, Label]:
    """The table at the path, or the one that another run has kept for the run of the context, with its label."""
    table, label = _without_label(_read(filesystem, path))
    run = run_to_look_for(label.made_by, context)
    if run is not None:
        try:
            return _without_label(_read(filesystem, kept_for(path, run)))
        except FileNotFoundError:
            pass
    return table, label


def _read(filesystem: Any, path: str) -> pa.Table:
    """The table in a file that may be replaced at any moment."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if filesystem.type_name == "local":
        # ParquetFile and not read_table: the latter infers partitions from directories called `a=b`.
        with filesystem.open_input_file(path) as source:
            return pq.ParquetFile(source).read()
    while True:
        # In one request: of an object that is replaced between two, the parts would not belong together.
        with filesystem.open_input_file(path) as source:
            size = source.size()
            content = source.read_at(size, 0)
        try:
            return pq.ParquetFile(pa.BufferReader(content)).read()
        except pa.ArrowInvalid:
            if filesystem.get_file_info(path).size == size:
                raise


def _stored_identity(filesystem: Any, path: str) -> Identity | None:
    """Who made the value in a file; None when there is none that says so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not filesystem.get_file_info(path).is_file:
        return None
    try:
        with filesystem.open_input_file(path) as source:
            return _label_in(pq.read_schema(source)).made_by
    except (OSError, pa.ArrowException):
        return None


def _label_in(schema: pa.Schema) -> Label:
    metadata = schema.metadata or {}
    label = decode_label(metadata.get(_LABEL, b""))
    return label or Label(form=form_of_library(metadata.get(_LIBRARY, b"pyarrow").decode()))


def _without_label(table: pa.Table) -> tuple[pa.Table, Label]:
    metadata = {key: text for key, text in (table.schema.metadata or {}).items() if key not in (_LIBRARY, _LABEL)}
    return table.replace_schema_metadata(metadata or None), _label_in(table.schema)


def _is_exact(kind: pa.DataType) -> bool:
    """Whether parquet is known to keep a type with all its values."""
    from pyarrow import types

    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_date32(kind)
        or types.is_time64(kind)
        or (types.is_timestamp(kind) and kind.unit != "s")
        or types.is_decimal(kind)
        or types.is_duration(kind)
        or types.is_null(kind)
    )


def parquet_io_manager(base_uri: str | os.PathLike[str]) -> IOManagerDefinition:
    """An IO manager that keeps tables (pyarrow, pandas, polars) as parquet files below `base_uri`, and records each
    as an asset with its size, columns and first rows."""

    def parquet() -> ParquetIOManager:
        return ParquetIOManager(base_uri)

    parquet.__doc__ = f"Parquet files below {without_credentials(os.fspath(base_uri))}."
    return IOManagerDefinition(parquet, preload=["pyarrow", "pyarrow.parquet", "pyarrow.fs"])
