"""Converts tables (pyarrow, pandas, polars, DuckDB relations) to and from the one form that is stored."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.definitions.contexts import OutputContext
from orchestrator.definitions.type_checks import type_name, with_article
from orchestrator.definitions.values import Failure
from orchestrator.io_managers import pandas_frames
from orchestrator.io_managers.arrow_types import with_one_dictionary
from orchestrator.io_managers.cells import UnfaithfulTable

if TYPE_CHECKING:
    import pyarrow as pa

_FORMS = frozenset(
    {
        "pyarrow.Table",
        "pyarrow.RecordBatch",
        "pandas.DataFrame",
        "polars.DataFrame",
        "polars.LazyFrame",
        "duckdb.DuckDBPyRelation",
    }
)
# What version 0.1.0 wrote beside a table: the library, and not the form.
_FORM_OF_LIBRARY = {"pandas": "pandas.DataFrame", "polars": "polars.DataFrame"}


class Tabular(Struct, frozen=True):
    """A table as Arrow, the form it had and will have again, and what that form needs beyond Arrow."""

    table: pa.Table
    form: str
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> str:
        return self.form.partition(".")[0]


def form_of(annotation: Any) -> str | None:
    """The form of table that a class stands for; None for any other class or annotation."""
    library = str(getattr(annotation, "__module__", "")).partition(".")[0].lstrip("_")
    form = f"{library}.{getattr(annotation, '__name__', '')}"
    return form if form in _FORMS else None


def form_of_library(library: str) -> str:
    """The form in which a table comes back of which only the library is known."""
    return _FORM_OF_LIBRARY.get(library, "pyarrow.Table")


def stored_form(obj: Any, context: OutputContext, manager: str) -> Tabular:
    """The table in `obj`. Raises Failure for anything that is not a table, or would not come back as it is."""
    try:
        tabular = to_tabular(obj)
    except UnfaithfulTable as error:
        raise Failure(
            f"{manager} cannot keep {_output(context)} as it is: {error}. Or give that output another io_manager:"
            " filesystem_io_manager keeps whatever can be pickled."
        ) from error
    if tabular is not None:
        return replace(tabular, table=with_one_dictionary(tabular.table))
    if obj is None:
        hint = "If the step returns nothing, annotate it `-> None`. Otherwise return a table"
    elif hasattr(obj, "read_all"):
        hint = "It can be read once only: return its .read_all()"
    elif hasattr(obj, "to_frame"):
        hint = "Return its .to_frame()"
    else:
        hint = "Return a table"
    raise Failure(
        f"{manager} stores tables (pyarrow, pandas or polars); {_output(context)}"
        f" is {'None' if obj is None else with_article(type_name(type(obj)))}. {hint}, or give that output another"
        " io_manager."
    )


def _output(context: OutputContext) -> str:
    return f"output {context.name!r} of step {context.step!r}"


def to_tabular(obj: Any) -> Tabular | None:
    """The table in `obj`; None when it is no table. Raises UnfaithfulTable when it would not come back as it is."""
    form = next((form for form in map(form_of, type(obj).__mro__) if form is not None), None)
    return None if form is None else _TO_ARROW[form.partition(".")[0]](obj, form)


def from_tabular(tabular: Tabular, wanted: Any = None) -> Any:
    """The table in the form that the annotation asks for; without one, as it was stored."""
    form = wanted_form(tabular.form, wanted)
    return _FROM_ARROW[form](tabular)


def wanted_form(stored: str, annotation: Any) -> str:
    """Which form to load. An annotation that names several is content with the one that was stored."""
    forms = list(_forms_in(annotation))
    return stored if stored in forms or not forms else forms[0]


def as_annotated(value: Any, annotation: Any) -> Any:
    """The value; if it is a table and the annotation asks for another form of table, that form of it."""
    form = form_of(type(value))
    if form is None or wanted_form(form, annotation) == form:
        return value
    try:
        tabular = to_tabular(value)
    except UnfaithfulTable as error:
        wanted = wanted_form(form, annotation)
        raise Failure(f"A {form} cannot be made a {wanted} without changing it: {error}.") from error
    return value if tabular is None else from_tabular(tabular, annotation)


def _forms_in(annotation: Any) -> Iterator[str]:
    form = form_of(annotation)
    if form is not None:
        yield form
    for member in typing.get_args(annotation):
        yield from _forms_in(member)


# --- one function a library, each way ---


def _arrow_table(obj: Any, form: str) -> Tabular:
    import pyarrow as pa

    table = pa.Table.from_batches([obj]) if form == "pyarrow.RecordBatch" else obj
    for column, declared in zip(table.columns, table.schema, strict=True):
        if column.null_count and not declared.nullable:
            raise UnfaithfulTable(
                f"column {declared.name!r} is declared as not nullable and has {column.null_count} nulls"
            )
    return Tabular(table, form)


def _pandas_table(obj: Any, form: str) -> Tabular:
    table, notes = pandas_frames.to_arrow(obj)
    return Tabular(table, form, notes)


def _polars_table(obj: Any, form: str) -> Tabular:
    import pyarrow as pa

    frame = obj.collect() if form == "polars.LazyFrame" else obj
    unknown = [name for name, dtype in frame.schema.items() if _holds_objects(dtype)]
    try:
        if unknown:
            raise UnfaithfulTable(f"column {unknown[0]!r} holds Python objects: convert it to a type of polars first")
        table = frame.to_arrow()
    except pa.ArrowException as error:
        name, why = next(_refused_by_arrow(frame), ("?", error))
        raise UnfaithfulTable(f"column {name!r} cannot be made an Arrow column: {why}. Cast it first") from error
    back = _to_polars(Tabular(table.slice(0, 0), form))
    for name, dtype in frame.schema.items():
        if back.schema[name] != dtype:
            raise UnfaithfulTable(f"column {name!r} of type {dtype} would come back as {back.schema[name]}: cast it")
    return Tabular(table, form)


def _holds_objects(dtype: Any) -> bool:
    return "Object" in str(dtype)


def _refused_by_arrow(frame: Any) -> Iterator[tuple[str, Exception]]:
    for name in frame.columns:
        try:
            frame.select(name).to_arrow()
        except Exception as error:
            yield name, error


def _relation_table(obj: Any, form: str) -> Tabular:
    return Tabular(obj.to_arrow_table(), form)


def _to_pandas(tabular: Tabular) -> Any:
    if tabular.library == "pandas" and tabular.table.schema.pandas_metadata:
        try:
            return pandas_frames.to_pandas(tabular.table, tabular.notes)
        except Exception:  # edited by another program since, or it would not have been stored
            table = tabular.table.replace_schema_metadata(None)
            return pandas_frames.to_pandas_from_elsewhere(table)
    return pandas_frames.to_pandas_from_elsewhere(tabular.table)


def _to_polars(tabular: Tabular) -> Any:
    import polars

    frame: Any = polars.from_arrow(tabular.table)
    frame.columns = tabular.table.column_names  # an empty name is replaced on the way
    return frame


def _to_lazy_polars(tabular: Tabular) -> Any:
    return _to_polars(tabular).lazy()


def _to_record_batch(tabular: Tabular) -> Any:
    import pyarrow as pa

    table = tabular.table.combine_chunks()
    batches = table.to_batches()
    return (
        batches[0]
        if batches
        else pa.RecordBatch.from_arrays([pa.array([], kind) for kind in table.schema.types], schema=table.schema)
    )


def _to_relation(tabular: Tabular) -> Any:
    import duckdb

    return duckdb.from_arrow(tabular.table)


_TO_ARROW = {"pyarrow": _arrow_table, "pandas": _pandas_table, "polars": _polars_table, "duckdb": _relation_table}
_FROM_ARROW = {
    "pyarrow.Table": lambda tabular: tabular.table,
    "pyarrow.RecordBatch": _to_record_batch,
    "pandas.DataFrame": _to_pandas,
    "polars.DataFrame": _to_polars,
    "polars.LazyFrame": _to_lazy_polars,
    "duckdb.DuckDBPyRelation": _to_relation,
}
