"""Command-line values that need no conversion, taken as they are.

typer hands every value to pydantic, text for text, and importing pydantic takes longer than most commands do. What is
not plain text (or a default of ours) still goes that way. Knows typer's inside: where that has changed, nothing is
done, and commands are only slower; a test says so.
"""

from __future__ import annotations

from typing import Any

import typer.core

try:
    from typer._coercion import RuntimeParam, build_runtime_param

    _IS_KNOWN = typer.core.build_runtime_param is build_runtime_param  # type: ignore[attr-defined]
except (ImportError, AttributeError):
    _IS_KNOWN = False

if _IS_KNOWN:

    class _MostlyPlain(RuntimeParam):
        """Takes what is plain, and leaves the rest to typer."""

        def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
            if is_plain(self.annotation, value):
                return list(value) if isinstance(value, (list, tuple)) else value
            return build_runtime_param(param.type_descriptor).coerce(value, param=param, ctx=ctx)


def is_plain(annotation: Any, value: Any) -> bool:
    """Whether the value is what the annotation says already."""
    if annotation == list[str]:
        return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    return annotation in (str, int, float) and type(value) is annotation


def take_plain_values_as_they_are() -> None:
    """From now on, in this process."""
    if not _IS_KNOWN:
        return

    def build(descriptor: Any) -> Any:
        try:
            info = descriptor.parameter_info
            converted = info.parser is not None or descriptor.is_file or descriptor.is_path or descriptor.is_choice
        except AttributeError:
            return build_runtime_param(descriptor)
        if converted:
            return build_runtime_param(descriptor)
        return _MostlyPlain(parameter_info=info, annotation=descriptor.annotation)

    typer.core.build_runtime_param = build  # type: ignore[attr-defined]
