"""Assigns what a step's function returned to the step's outputs by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.definitions.type_checks import type_name, with_article
from orchestrator.definitions.values import AssetMaterialization, DynamicOutput, Expectation, Output

# What a step may yield.
YIELDED = (Output, DynamicOutput, AssetMaterialization, Expectation)


def members_by_name(result: Any, names: Iterable[str]) -> dict[str, Any]:
    """The members of a returned tuple by the names of the outputs. Raises ValueError saying what was returned instead.

    A named tuple whose fields are the names of the outputs is taken by name, any other tuple by position.
    """
    names = list(names)
    declared = f"has {len(names)} outputs ({', '.join(names)})"
    if not isinstance(result, tuple):
        raise ValueError(f"returned {with_article(type_name(type(result)))}, and {declared}")
    if len(result) != len(names):
        raise ValueError(f"returned a tuple of {len(result)}, and {declared}")
    if any(isinstance(member, YIELDED) for member in result):
        raise ValueError("returned a tuple that mixes plain values with Output or other objects to yield")
    fields = getattr(result, "_fields", ())
    if set(fields) == set(names):
        return {name: getattr(result, name) for name in names}
    if set(fields) & set(names):
        raise ValueError(f"returned a named tuple of ({', '.join(fields)}), and {declared}")
    return dict(zip(names, result, strict=True))


def is_several(result: Any) -> bool:
    """Whether a step's function returned, in a list or tuple, what it could have yielded one by one."""
    return isinstance(result, (list, tuple)) and bool(result) and all(isinstance(item, YIELDED) for item in result)
