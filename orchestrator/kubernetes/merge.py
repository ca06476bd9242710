"""Merges pod specs as `kubectl apply` would for the lists that people write: by name where they have names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Lists whose entries are identified by a field. Every other list is replaced by the later one, except those appended.
KEYS = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
APPENDED = frozenset({"tolerations", "envFrom", "imagePullSecrets"})


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """`first` with `second` laid over it: maps to any depth, lists by `KEYS` or one behind the other (`APPENDED`),
    anything else replaced. A value of None removes the field."""
    result = dict(first)
    for name, value in second.items():
        before = result.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            result[name] = merged(before, value)
        elif isinstance(before, list) and isinstance(value, list) and name in KEYS:
            result[name] = _by_key(before, value, KEYS[name])
        elif isinstance(before, list) and isinstance(value, list) and name in APPENDED:
            result[name] = [*before, *(one for one in value if one not in before)]
        else:
            result[name] = value
    return result


def _by_key(first: list[Any], second: list[Any], key: str) -> list[Any]:
    result = list(first)
    for entry in second:
        known = [
            place
            for place, one in enumerate(result)
            if isinstance(one, Mapping) and isinstance(entry, Mapping) and one.get(key) == entry.get(key)
        ]
        if known:
            result[known[0]] = merged(result[known[0]], entry)
        else:
            result.append(entry)
    return result
