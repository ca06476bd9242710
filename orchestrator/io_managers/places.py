"""Builds the name of a stored value's place from the output's metadata, the run and the mapping keys."""

from __future__ import annotations

import re

from orchestrator.definitions.contexts import OutputContext
from orchestrator.definitions.values import Failure

RUN_ID = "{run_id}"


def mapping_keys(context: OutputContext) -> tuple[str, ...]:
    """Every key that tells this value from others of the same output: those its step is mapped for, and its own."""
    keys = tuple(re.findall(r"\[([^\]]*)\]", context.step))
    return keys if context.mapping_key is None else (*keys, context.mapping_key)


def with_run_id(name: str, context: OutputContext) -> str:
    """The name with `{run_id}` replaced by the run that makes, or made, the value."""
    if RUN_ID not in name:
        return name
    if context.run_id is None:
        raise Failure(
            f"Cannot tell which {name!r} to use: no run is known to have produced {context.step}.{context.name}; name"
            " one with --rerun RUN."
        )
    return name.replace(RUN_ID, context.run_id)


def without_credentials(uri: str) -> str:
    """The URI as it may be shown: without its query and the user in front of the host, where secrets stand."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
