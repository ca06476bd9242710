"""Tables of every kind that people pass between steps, and what it means that one is the same as another."""

import datetime as dt
import enum
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa

BERLIN = "Europe/Berlin"


class Colour(str, enum.Enum):  # noqa: UP042
    RED = "red"


class Anything:
    def __eq__(self, other):
        return isinstance(other, Anything)

    def __hash__(self):
        return 1


class Table(pd.DataFrame):
    """A subclass, as geopandas has one."""


def objects(*cells):
    column = np.empty(len(cells), object)
    for position, cell in enumerate(cells):
        column[position] = cell
    return pd.DataFrame({"c": pd.Series(column, dtype=object)})


def series(cells, dtype):
    return pd.DataFrame({"c": pd.Series(cells, dtype=dtype)})


def indexed(index):
    return pd.DataFrame({"c": range(len(index))}, index=index)


def labelled(*columns):
    return pd.DataFrame([range(len(columns))], columns=pd.Index(columns))


def with_attrs(attrs):
    frame = pd.DataFrame({"c": [1]})
    frame.attrs = attrs
    return frame


def categories(cells, of, ordered=False):
    return series(pd.Categorical(cells, categories=of, ordered=ordered), None)


PANDAS = {
    "integers": lambda: pd.DataFrame({"c": [1, 2], "d": np.array([1, 2], "int8"), "e": np.array([1, 2], "uint16")}),
    "floats": lambda: pd.DataFrame({"c": [1.5, np.nan, np.inf], "d": np.array([1, 2, -0.0], "float32")}),
    "half floats": lambda: series([1.5, np.nan], "float16"),
    "large unsigned": lambda: series([0, 2**64 - 1], "uint64"),
    "booleans": lambda: series([True, False], "bool"),
    "text": lambda: pd.DataFrame({"c": ["a", None, "é\0x", ""]}),
    "text as objects": lambda: objects("a", None, "b"),
    "nullable integers": lambda: series([2**53 + 1, None], "Int64"),
    "nullable small integers": lambda: series([1, None], "UInt8"),
    "nullable booleans": lambda: series([True, None], "boolean"),
    "nullable floats": lambda: series([1.5, None], "Float64"),
    "nullable text": lambda: series(["a", None], "string"),
    "categories": lambda: categories(["b", None, "b"], ["z", "b", "a"]),
    "ordered categories": lambda: categories(["low", "high"], ["low", "mid", "high"], True),
    "categories of integers": lambda: categories([20, None], [30, 20]),
    "categories of times": lambda: categories([pd.Timestamp(0)], pd.to_datetime([0, 10**9])),
    "categories, none used": lambda: categories([None], ["a"]),
    "categories, no rows": lambda: categories([], ["a", "b"]),
    "periods": lambda: series(pd.period_range("2024-01", periods=2, freq="M"), None),
    "intervals": lambda: series(pd.arrays.IntervalArray.from_breaks([0, 1, 2], closed="left"), None),
    "times": lambda: pd.DataFrame({"c": pd.to_datetime(["2024-01-01 00:30", None])}),
    "times, seconds": lambda: series(["2024-01-01", None], "datetime64[s]"),
    "times, milliseconds": lambda: series(["2024-01-01", None], "datetime64[ms]"),
    "times, nanoseconds": lambda: series([1, None], "datetime64[ns]"),
    "times with a zone": lambda: pd.DataFrame({"c": pd.to_datetime(["2024-01-01 00:30"]).tz_localize(BERLIN)}),
    "times with a zone of zoneinfo": lambda: pd.DataFrame(
        {"c": pd.to_datetime(["2024-01-01 00:30"]).tz_localize(ZoneInfo(BERLIN))}
    ),
    "times with a zone, ns": lambda: series(np.array([1], "datetime64[ns]"), "datetime64[ns, UTC]"),
    "times with an offset": lambda: pd.DataFrame({"c": pd.to_datetime(["2024-01-01 00:30+05:30"])}),
    "durations": lambda: series(pd.to_timedelta([90_000, -1, None], unit="s"), None),
    "durations, nanoseconds": lambda: series([1, None], "timedelta64[ns]"),
    "durations, long": lambda: series([10**17, 0], "timedelta64[us]"),
    "arrow integers": lambda: series([2**60, None], "int64[pyarrow]"),
    "arrow lists": lambda: series([[1], None], pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow structs": lambda: series([{"a": 1}], pd.ArrowDtype(pa.struct([("a", pa.int32())]))),
    "arrow decimals": lambda: series([Decimal("1.50")], pd.ArrowDtype(pa.decimal128(5, 2))),
    "sparse": lambda: series([0, 1], pd.SparseDtype("int64")),
    "complex": lambda: series([1j], "complex128"),
    # Columns of objects.
    "dates": lambda: objects(dt.date(2024, 1, 1), None),
    "clock times": lambda: objects(dt.time(1, 2, 3, 4), None),
    "decimals": lambda: objects(Decimal("1.50"), Decimal("22.25"), None),
    "bytes": lambda: objects(b"\x00", b"", None),
    "integers as objects": lambda: objects(2**53 + 1, None, -1),
    "booleans as objects": lambda: objects(True, None),
    "floats as objects": lambda: objects(1.5, None),
    "datetimes as objects": lambda: objects(dt.datetime(2024, 1, 1, 1)),
    "timestamps as objects": lambda: objects(pd.Timestamp(1)),
    "lists": lambda: objects([1, 2], None, []),
    "lists of lists": lambda: objects([[1], [2, 3]], None),
    "arrays": lambda: objects(np.array([1.5, np.nan]), np.array([2.5])),
    "dictionaries": lambda: objects({"a": 1, "b": [1]}, None),
    "nothing but None": lambda: objects(None, None),
    "mixed": lambda: objects(1, "x"),
    "integers and floats": lambda: objects(1, 2.5),
    "booleans and integers": lambda: objects(True, 1),
    "tuples": lambda: objects((1, 2)),
    "sets": lambda: objects({1}),
    "dictionaries with other keys": lambda: objects({"a": 1}, {"b": 2}),
    "members of an enum": lambda: objects(Colour.RED),
    "huge integers": lambda: objects(2**70, 1),
    "any object": lambda: objects(Anything()),
    # Rows and columns.
    "named index": lambda: indexed(pd.Index([10, 20], name="id")),
    "index of text": lambda: indexed(pd.Index(["x", "y"])),
    "index with gaps": lambda: indexed(pd.RangeIndex(3, 9, 2, name="n")),
    "filtered index": lambda: pd.DataFrame({"c": [1, 2, 3]})[lambda frame: frame.c > 1],
    "index of days": lambda: indexed(pd.date_range("2024-01-01", periods=3, name="day")),
    "index of days with a zone": lambda: indexed(pd.date_range("2024-03-30", periods=3, freq="D", tz=BERLIN)),
    "index of periods": lambda: indexed(pd.period_range("2024-01", periods=2, freq="M")),
    "index of intervals": lambda: indexed(pd.interval_range(0, 2)),
    "index of categories": lambda: indexed(pd.CategoricalIndex(["x"], categories=["y", "x"], ordered=True)),
    "index that repeats": lambda: indexed(pd.Index([1, 1])),
    "two levels of rows": lambda: indexed(pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["n", None])),
    "index of arrow integers": lambda: indexed(pd.Index(pd.array([1, None], "int32[pyarrow]"), name="i")),
    "index of arrow times": lambda: indexed(pd.Index(pd.array([1, None], pd.ArrowDtype(pa.timestamp("us"))))),
    "index of arrow dates": lambda: indexed(pd.Index(pd.array([dt.date(2024, 1, 1)], pd.ArrowDtype(pa.date32())))),
    "index of nullable integers": lambda: indexed(pd.Index(pd.array([2**53 + 1, None], "Int64"))),
    "index of nullable booleans": lambda: indexed(pd.Index(pd.array([True, None], "boolean"))),
    "index of nullable floats": lambda: indexed(pd.Index(pd.array([1.5, None], "Float32"))),
    "index of nullable text": lambda: indexed(pd.Index(pd.array(["a", None], "string"))),
    "a nullable level of two": lambda: indexed(
        pd.MultiIndex.from_arrays([pd.array([1, 2], "Int8"), ["a", "b"]], names=["n", "t"])
    ),
    "index of nullable integers, no rows": lambda: indexed(pd.Index(pd.array([], "Int64"), name="i")),
    "nullable text as column names": lambda: pd.DataFrame([[1]], columns=pd.Index(["a"], dtype="string")),
    "index named like a column": lambda: indexed(pd.Index([1], name="c")),
    "mixed index": lambda: indexed(pd.Index([1, "x"], dtype=object)),
    "two levels of columns": lambda: pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"])
    ),
    "numbers as columns": lambda: pd.DataFrame([[1, 2]], columns=[10, 20]),
    "no names of columns": lambda: pd.DataFrame([[1, 2]]),
    "days as columns": lambda: pd.DataFrame([[1, 2]], columns=pd.to_datetime(["2024-01-01", "2024-01-05"])),
    "named columns": lambda: pd.DataFrame([[1]], columns=pd.Index(["a"], name="what")),
    "mixed columns": lambda: labelled(1, "a"),
    "columns of categories": lambda: pd.DataFrame([[1]], columns=pd.CategoricalIndex(["a"])),
    "tuples as columns": lambda: pd.DataFrame([[1]], columns=pd.Index([("a", 1)], tupleize_cols=False)),
    "columns apart by case": lambda: labelled("A", "a"),
    "the same column twice": lambda: labelled("a", "a"),
    "an empty name": lambda: labelled("", "a"),
    "odd names": lambda: labelled('a"b', "a b", "select", "a.b", "ü", "a'", "100%"),
    "no rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="int64"), "b": pd.Series([], dtype="str")}),
    "no columns": lambda: pd.DataFrame(index=pd.RangeIndex(3)),
    "nothing": lambda: pd.DataFrame(),
    "attrs": lambda: with_attrs({"source": "x", "n": 1}),
    "attrs that JSON lacks": lambda: with_attrs({"at": (1, 2)}),
    "a subclass": lambda: Table({"c": [1]}),
}


def column(cells, dtype):
    return pl.DataFrame({"c": pl.Series(cells, dtype=dtype)})


POLARS = {
    "integers": lambda: pl.DataFrame({"c": [2**60, None], "d": pl.Series([1, 2], dtype=pl.UInt8)}),
    "floats": lambda: pl.DataFrame({"c": [1.5, float("nan"), None], "d": pl.Series([1, 2, 3], dtype=pl.Float32)}),
    "half floats": lambda: column([1.5, None], pl.Float16),
    "text": lambda: pl.DataFrame({"c": ["a", None, ""]}),
    "bytes": lambda: column([b"\x00", None], pl.Binary),
    "booleans": lambda: column([True, None], pl.Boolean),
    "categories": lambda: column(["b", None, "a"], pl.Categorical),
    "an enum": lambda: column(["b", None], pl.Enum(["z", "b"])),
    "arrays": lambda: column([[1, 2], None], pl.Array(pl.Int8, 2)),
    "lists": lambda: column([[1, None], None, []], pl.List(pl.Int64)),
    "lists of categories": lambda: column([["a"], None], pl.List(pl.Categorical)),
    "lists of durations": lambda: column([[dt.timedelta(1)], None], pl.List(pl.Duration("us"))),
    "structs": lambda: column([{"a": 1, "b": "x"}, None], pl.Struct({"a": pl.Int8, "b": pl.String})),
    "structs of durations": lambda: column([{"d": dt.timedelta(hours=30)}], pl.Struct({"d": pl.Duration("ms")})),
    "structs of nothing": lambda: column([{}], pl.Struct({})),
    "nothing but nulls": lambda: column([None, None], pl.Null),
    "dates": lambda: column([dt.date(2024, 1, 1), None], pl.Date),
    "clock times": lambda: column([dt.time(1, 2, 3, 4), None], pl.Time),
    "times": lambda: column([dt.datetime(2024, 1, 1), None], pl.Datetime("ms")),
    "times, nanoseconds": lambda: pl.DataFrame({"c": pl.Series([1, None]).cast(pl.Datetime("ns"))}),
    "times with a zone": lambda: pl.DataFrame({"c": pl.Series([0, None]).cast(pl.Datetime("us", BERLIN))}),
    "times with a zone, ns": lambda: pl.DataFrame({"c": pl.Series([1, None]).cast(pl.Datetime("ns", BERLIN))}),
    "durations": lambda: column([dt.timedelta(days=400, microseconds=1), None], pl.Duration("us")),
    "durations, nanoseconds": lambda: pl.DataFrame({"c": pl.Series([1, None]).cast(pl.Duration("ns"))}),
    "decimals": lambda: column([Decimal("1.50"), None], pl.Decimal(20, 2)),
    "large integers": lambda: column([2**100], pl.Int128),
    "Python objects": lambda: column([Anything()], pl.Object),
    "columns apart by case": lambda: pl.DataFrame({"A": [1], "a": [2]}),
    "an empty name": lambda: pl.DataFrame({"": [1]}),
    "no rows": lambda: pl.DataFrame(schema={"a": pl.Int64, "b": pl.Enum(["x"])}),
    "nothing": lambda: pl.DataFrame(),
    "lazy": lambda: pl.LazyFrame({"c": [1]}),
}


def arrow(array, name="c", nullable=True, **metadata):
    return pa.Table.from_arrays([array], schema=pa.schema([pa.field(name, array.type, nullable, metadata or None)]))


def times(kind):
    return lambda: arrow(pa.array([0, 86_400_000, None], kind))


def coded(codes, values, ordered=False):
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(values), ordered=ordered)


PYARROW = {
    "plain": lambda: pa.table({"a": [1, None], "b": ["x", None], "c": [1.5, None], "d": [True, None]}),
    **{f"times, {unit}": times(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    **{f"times with a zone, {unit}": times(pa.timestamp(unit, BERLIN)) for unit in ("s", "ms", "us", "ns")},
    **{f"durations, {unit}": times(pa.duration(unit)) for unit in ("s", "ms", "us")},
    "durations, ns": lambda: arrow(pa.array([1, None], pa.duration("ns"))),
    "durations that are too long": lambda: arrow(pa.array([2**62, None], pa.duration("s"))),
    "clock times, s": lambda: arrow(pa.array([1, None], pa.time32("s"))),
    "clock times, ns": lambda: arrow(pa.array([1, None], pa.time64("ns"))),
    "dates": lambda: arrow(pa.array([1, None], pa.date32())),
    "dates, 64 bits": lambda: arrow(pa.array([86_400_000, None], pa.date64())),
    "half floats": lambda: arrow(pa.array([1.5, float("nan"), None], pa.float16())),
    "decimals": lambda: arrow(pa.array([Decimal("1.50"), None], pa.decimal128(38, 2))),
    "decimals, 32 bits": lambda: arrow(pa.array([Decimal("1.50"), None], pa.decimal32(5, 2))),
    "decimals, 256 bits": lambda: arrow(pa.array([Decimal("1.50"), None], pa.decimal256(50, 2))),
    "large unsigned": lambda: arrow(pa.array([2**64 - 1, None], pa.uint64())),
    "large text": lambda: arrow(pa.array(["a", None], pa.large_string())),
    "text views": lambda: arrow(pa.array(["a", None], pa.string_view())),
    "bytes": lambda: arrow(pa.array([b"\x00", None], pa.binary())),
    "large bytes": lambda: arrow(pa.array([b"\x00", None], pa.large_binary())),
    "bytes of one size": lambda: arrow(pa.array([b"ab", None], pa.binary(2))),
    "lists": lambda: arrow(pa.array([[1, None], None, []], pa.list_(pa.int32()))),
    "large lists": lambda: arrow(pa.array([["a"], None], pa.large_list(pa.string()))),
    "lists of one size": lambda: arrow(pa.array([[1, 2], None], pa.list_(pa.int32(), 2))),
    "structs": lambda: arrow(pa.array([{"a": 1, "b": {"c": "x"}}, None])),
    "structs apart by case": lambda: arrow(pa.array([{"a": 1, "A": 2}])),
    "structs of times": lambda: arrow(pa.array([{"t": 0}], pa.struct([("t", pa.timestamp("us", BERLIN))]))),
    "structs of nothing": lambda: arrow(pa.array([{}], pa.struct([]))),
    "maps": lambda: arrow(pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32()))),
    "categories": lambda: arrow(coded([1, None], ["z", "a", "q"])),
    "ordered categories": lambda: arrow(coded([1, None], ["z", "a"], True)),
    "categories of integers": lambda: arrow(coded([1, None], [10, 20])),
    "categories, other ones in each chunk": lambda: pa.table(
        {"c": pa.chunked_array([coded([0], ["a"]), coded([0], ["b"])])}
    ),
    "nothing but nulls": lambda: arrow(pa.nulls(2)),
    "calendar intervals": lambda: arrow(pa.array([(1, 2, 3000)], pa.month_day_nano_interval())),
    "calendar intervals, ns": lambda: arrow(pa.array([(1, 2, 3)], pa.month_day_nano_interval())),
    "uuids": lambda: arrow(pa.uuid().wrap_array(pa.array([b"a" * 16, None], pa.binary(16)))),
    "bool8": lambda: arrow(pa.bool8().wrap_array(pa.array([1, None], pa.int8()))),
    "json": lambda: arrow(pa.json_().wrap_array(pa.array(["{}", None]))),
    "tensors": lambda: arrow(
        pa.fixed_shape_tensor(pa.int32(), [2]).wrap_array(pa.array([[1, 2]], pa.list_(pa.int32(), 2)))
    ),
    "runs": lambda: arrow(pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([1]))),
    "unions": lambda: arrow(
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["a"])]),
    ),
    "metadata": lambda: arrow(pa.array([1]), unit="m").replace_schema_metadata({"owner": "me"}),
    "never null": lambda: arrow(pa.array([1]), nullable=False),
    "never null, with nulls": lambda: arrow(pa.array([1, None]), nullable=False),
    "columns apart by case": lambda: pa.table({"A": [1], "a": [2]}),
    "the same column twice": lambda: pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
    "an empty name": lambda: pa.table({"": [1]}),
    "no rows": lambda: pa.table({"a": pa.array([], pa.int64()), "c": coded([], ["x"])}),
    "nothing": lambda: pa.table({}),
    "a record batch": lambda: pa.record_batch({"a": [1]}),
    "a record batch without rows": lambda: pa.record_batch({"a": pa.array([], pa.int64())}),
}

TABLES = {
    **{f"pandas: {name}": make for name, make in PANDAS.items()},
    **{f"polars: {name}": make for name, make in POLARS.items()},
    **{f"pyarrow: {name}": make for name, make in PYARROW.items()},
}


def assert_same(one, other):
    """Fails unless both are the same table in the same form, every type included."""
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        _assert_same_frames(one, other)
    elif isinstance(one, pl.LazyFrame):
        pl.testing.assert_frame_equal(one.collect(), other.collect())
    elif isinstance(one, pl.DataFrame):
        assert one.schema == other.schema
        if pl.Object in one.dtypes:
            assert one.to_dicts() == other.to_dicts()
            return
        pl.testing.assert_frame_equal(one, other)
    else:
        # Without the names of the members of lists, which parquet prescribes.
        assert one.schema.equals(other.schema), (one.schema, other.schema)
        assert one.schema.metadata == other.schema.metadata
        assert list(map(own_metadata, one.schema)) == list(map(own_metadata, other.schema))
        assert one.num_rows == other.num_rows
        for column, back in zip(one.columns, other.columns, strict=True):
            assert repr(cells(column)) == repr(cells(back))
            if pa.types.is_dictionary(column.type):
                assert every_category(column) == every_category(back)


def own_metadata(field):
    """The metadata of a field without what says which extension type it has."""
    return {k: v for k, v in (field.metadata or {}).items() if not k.startswith(b"ARROW:extension")}


def cells(column):
    try:
        return column.to_pylist()
    except OverflowError:  # of a duration that Python's own cannot hold
        return column.cast(pa.int64()).to_pylist()


def every_category(column):
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    chunks = column.unify_dictionaries().chunks
    return chunks[0].dictionary.to_pylist() if chunks else []


def _assert_same_frames(one, other):
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=True, check_column_type="equiv")
    assert one.attrs == other.attrs
    assert list(map(type, one.columns)) == list(map(type, other.columns))
    for position, dtype in enumerate(one.dtypes):
        if pd.api.types.is_object_dtype(dtype):
            for cell, back in zip(one.iloc[:, position], other.iloc[:, position], strict=True):
                assert same_class(cell, back), (cell, back)


def same_class(cell, back):
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return pd.isna(back)
    if isinstance(cell, (list, tuple)):
        return type(cell) is type(back) and all(map(same_class, cell, back))
    if isinstance(cell, dict):
        return type(cell) is type(back) and all(map(same_class, cell.values(), back.values()))
    return type(cell) is type(back)
