"""The metadata beside a stored table, which restores its types and its form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.definitions.contexts import OutputContext
from orchestrator.definitions.values import Failure
from orchestrator.io_managers.arrow_types import (
    IsExact,
    first_changed,
    first_refused,
    inexact,
    read_skeleton,
    restored,
    skeleton,
)
from orchestrator.io_managers.frames import Tabular
from orchestrator.io_managers.identity import Label, identity_of

if TYPE_CHECKING:
    import pyarrow as pa


def label_of(tabular: Tabular, context: OutputContext, *, with_skeleton: bool) -> Label:
    """The label of a table; with a skeleton for a store that does not bring the table back without one."""
    return Label(
        identity_of(context),
        tabular.form,
        dict(tabular.notes),
        skeleton(tabular.table) if with_skeleton else None,
    )


def tabular_of(table: pa.Table, label: Label) -> Tabular:
    """The table that was stored with this label, made of what the store has read."""
    if label.skeleton is not None:
        table = restored(table, read_skeleton(label.skeleton))
    return Tabular(table, label.form or "pyarrow.Table", label.notes)


def check_kept(
    tabular: Tabular,
    label: Label,
    read: Callable[[list[int]], pa.Table],
    is_exact: IsExact,
    context: OutputContext,
    store: str,
) -> None:
    """Raises Failure when a column that the store is not known to keep has changed. `read` reads columns back."""
    positions = inexact(tabular.table.schema, is_exact)
    if not positions or label.skeleton is None:
        return
    before = tabular.table.select(positions)
    changed = first_changed(before, restored(read(positions), read_skeleton(label.skeleton).select(positions)))
    if changed is not None:
        raise _refusal(context, store, changed, f"{before.schema.field(changed).type} would come back changed")


def refused_by(tabular: Tabular, attempt: Callable[[pa.Table], object], context: OutputContext, store: str) -> None:
    """Raises Failure naming the column that makes `attempt`, a trial write of some columns, fail; if any does."""
    found = first_refused(tabular.table, attempt)
    if found is not None:
        column, error = found
        why = " ".join(str(error).split()).rstrip(".")
        raise _refusal(context, store, column, f"{tabular.table.schema.field(column).type}: {why}") from error


def _refusal(context: OutputContext, store: str, column: str, why: str) -> Failure:
    return Failure(
        f"{store} cannot keep column {column!r} of output {context.name!r} of step {context.step!r} as it is ({why})."
        " Cast it to another type, or give that output another io_manager."
    )
