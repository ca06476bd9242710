"""Restores the Arrow types that a table was written with, after a store has read it back.

Stores know fewer types than Arrow: DuckDB has no categories and one time zone, parquet no integer categories. The
*skeleton* of a table, zero rows of it with the values of its categories, is kept beside it and says what each column
was. What a store is not known to keep exactly is read back and compared before it counts as stored.
"""

from __future__ import annotations

import base64
import uuid
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.io_managers.cells import same_cell

if TYPE_CHECKING:
    import pyarrow as pa

IsExact = Callable[[Any], bool]
_DAY_NS = 86_400_000_000_000


def skeleton(table: pa.Table) -> str:
    """The types, the metadata and the categories of a table as text."""
    import pyarrow as pa

    columns = [_without_rows(column) for column in table.columns]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=table.schema))
    return base64.b64encode(zlib.compress(sink.getvalue().to_pybytes())).decode()


def _without_rows(column: pa.ChunkedArray) -> pa.Array:
    """No rows of a column, with its categories. Not a slice of it if that can be helped: all its text is in a slice."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind) and column.num_chunks:
        codes = pa.array([], kind.index_type)
        return pa.DictionaryArray.from_arrays(codes, column.chunk(0).dictionary, ordered=kind.ordered)
    if column.num_chunks and (types.is_union(kind) or _holds_dictionary(kind)):
        return column.chunk(0).slice(0, 0)
    return _one_chunk(pa.schema([("", kind)]).empty_table().column(0))


def _holds_dictionary(kind: pa.DataType) -> bool:
    from pyarrow import types

    members = (kind.field(position).type for position in range(kind.num_fields))
    return bool(types.is_dictionary(kind) or any(map(_holds_dictionary, members)))


def read_skeleton(text: str) -> pa.Table:
    """The table of zero rows that `skeleton` wrote."""
    import pyarrow as pa

    with pa.ipc.open_stream(zlib.decompress(base64.b64decode(text))) as reader:
        return reader.read_all()


def restored(table: pa.Table, like: pa.Table) -> pa.Table:
    """The table with the types of its skeleton. A column that another program has edited since stays as it is; when
    there are other columns now, so does the metadata."""
    import pyarrow as pa

    same_columns = table.column_names == like.column_names
    columns, fields = [], []
    for position, field in enumerate(table.schema):
        wanted = position if same_columns else like.schema.get_field_index(field.name)
        column = table.column(position)
        if wanted >= 0:
            try:
                column = _column_as(column, _one_chunk(like.column(wanted)))
                field = like.schema.field(wanted)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                pass
        columns.append(column)
        fields.append(field)
    schema = pa.schema(fields, metadata=like.schema.metadata if same_columns else table.schema.metadata)
    return pa.Table.from_arrays(columns, schema=schema)


def _column_as(column: pa.ChunkedArray, like: pa.Array) -> pa.ChunkedArray:
    import pyarrow as pa

    chunks = [_as(chunk, like) for chunk in column.chunks]
    return pa.chunked_array(chunks or [like], type=like.type)


def with_one_dictionary(table: pa.Table) -> pa.Table:
    """The table with the same dictionary in all chunks of a column, so that one skeleton fits all."""
    from pyarrow import types

    for position, column in enumerate(table.columns):
        if types.is_dictionary(column.type) and column.num_chunks > 1:
            table = table.set_column(position, table.schema.field(position), column.unify_dictionaries())
    return table


def inexact(schema: pa.Schema, is_exact: IsExact) -> list[int]:
    """The columns whose type a store is not known to keep."""
    return [position for position, field in enumerate(schema) if not _is_exact(field.type, is_exact)]


def _is_exact(kind: pa.DataType, is_exact: IsExact) -> bool:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return _is_exact(kind.value_type, is_exact)
    if types.is_struct(kind):
        fields = [kind.field(n) for n in range(kind.num_fields)]
        return bool(fields) and all(_is_exact(field.type, is_exact) for field in fields)
    return is_exact(kind)


def first_changed(before: pa.Table, after: pa.Table) -> str | None:
    """The first column that is not the same in both tables."""
    for name, one, other in zip(before.column_names, before.columns, after.columns, strict=True):
        if not _is_same(one, other):
            return str(name)
    return None


def first_refused(table: pa.Table, attempt: Callable[[pa.Table], object]) -> tuple[str, Exception] | None:
    """The first column for which `attempt` fails on a table of that column alone, with the error."""
    for position, name in enumerate(table.column_names):
        try:
            attempt(table.select([position]))
        except Exception as error:
            return name, error
    return None


def _is_same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    from pyarrow import types

    if one.type != other.type or len(one) != len(other):
        return False
    if types.is_dictionary(one.type):
        before, after = _one_chunk(one), _one_chunk(other)
        same_values = _is_same(*(pa.chunked_array([c.dictionary_decode()]) for c in (before, after)))
        return same_values and bool(before.dictionary.equals(after.dictionary))
    return bool(one.equals(other)) or same_cell(one.to_pylist(), other.to_pylist())


def _one_chunk(column: Any) -> pa.Array:
    import pyarrow as pa

    chunk = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(chunk, pa.ChunkedArray):  # of some types, or when it is too long for one
        chunk = pa.concat_arrays(chunk.chunks) if chunk.num_chunks else pa.array([], chunk.type)
    return chunk


# --- one column ---


def _as(array: pa.Array, like: pa.Array) -> pa.Array:
    """The array with the type (and the categories) of another. Raises ArrowException when it does not fit."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    wanted = like.type
    if types.is_dictionary(wanted):
        return _as_dictionary(array, like)
    if array.type == wanted:
        return array
    if isinstance(wanted, pa.BaseExtensionType):
        return wanted.wrap_array(_as(_stored_extension(array, wanted), like.storage))
    if types.is_duration(wanted) and types.is_interval(array.type):
        return _duration(array, wanted)
    if types.is_struct(wanted):
        members = [_as(array.field(n), like.field(n)) for n in range(wanted.num_fields)]
        return pa.StructArray.from_arrays(members, fields=list(wanted), mask=array.is_null())
    if types.is_list(wanted) or types.is_large_list(wanted):
        kind = pa.LargeListArray if types.is_large_list(wanted) else pa.ListArray
        offsets = array.offsets.cast(pa.int64() if types.is_large_list(wanted) else pa.int32())
        return kind.from_arrays(offsets, _as(array.values, like.values), type=wanted, mask=array.is_null())
    if types.is_run_end_encoded(wanted):
        return pc.run_end_encode(array, wanted.run_end_type)
    return array.cast(wanted)


def _as_dictionary(array: pa.Array, like: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    categories = like.dictionary
    values = array.dictionary_decode() if types.is_dictionary(array.type) else array
    values = _as(values, categories.slice(0, 0))
    codes = pc.index_in(values, value_set=categories)
    if codes.null_count != values.null_count:
        raise ValueError("there are values that were no categories")
    codes = codes.cast(like.type.index_type)
    return pa.DictionaryArray.from_arrays(codes, categories, ordered=like.type.ordered)


def _duration(intervals: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Durations of the intervals that DuckDB made of them: months and days (4 bytes each), then nanoseconds (8)."""
    import pyarrow as pa

    words = memoryview(intervals.buffers()[1]).cast("q")[2 * intervals.offset :][: 2 * len(intervals)].tolist()
    lengths = []
    for is_valid, months_and_days, nanoseconds in zip(
        intervals.is_valid().to_pylist(), words[::2], words[1::2], strict=True
    ):
        if is_valid and months_and_days % 2**32:
            raise ValueError("a month has no fixed length")
        lengths.append(_DAY_NS * (months_and_days >> 32) + nanoseconds if is_valid else None)
    return pa.array(lengths, pa.int64()).cast(pa.duration("ns")).cast(wanted)


def _stored_extension(array: pa.Array, wanted: pa.BaseExtensionType) -> pa.Array:
    import pyarrow as pa
    from pyarrow import types

    if isinstance(array, pa.ExtensionArray):
        return array.storage
    if wanted == pa.uuid() and types.is_string(array.type):
        texts = (None if text is None else uuid.UUID(text).bytes for text in array.to_pylist())
        return pa.array(texts, pa.binary(16))
    return array
