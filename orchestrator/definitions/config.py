"""Configuration of one step or resource: its schema, checking a value against it, and secrets from the environment.

The schema is the annotation of the `config` parameter: a dataclass, TypedDict, pydantic model or anything else that
pydantic can validate. Without an annotation anything goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.errors import near_misses

Path = tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration, and where. `incomplete` when more configuration could put it right."""

    path: Path
    message: str
    incomplete: bool = False

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}"


@dataclass(frozen=True)
class Resolved:
    """A value whose `{env: NAME}` entries have been replaced, and the paths at which that happened."""

    value: Any
    from_environment: frozenset[Path]
    problems: tuple[Problem, ...]


def resolve_environment(value: Any, environment: Mapping[str, str], path: Path = ()) -> Resolved:
    """Replaces every `{env: NAME}` inside `value` by that variable's text; an unset one is a problem."""
    if isinstance(value, Mapping):
        if value.keys() == {"env"} and isinstance(value["env"], str):
            name = value["env"]
            if name in environment:
                return Resolved(environment[name], frozenset({path}), ())
            problem = Problem(path, f"the environment variable {name} is not set", incomplete=True)
            return Resolved(None, frozenset({path}), (problem,))
        parts = {str(key): resolve_environment(item, environment, (*path, str(key))) for key, item in value.items()}
        return _joined({key: part.value for key, part in parts.items()}, list(parts.values()))
    if isinstance(value, (list, tuple)):
        items = [resolve_environment(item, environment, (*path, str(i))) for i, item in enumerate(value)]
        return _joined([item.value for item in items], items)
    return Resolved(value, frozenset(), ())


def _joined(value: Any, parts: list[Resolved]) -> Resolved:
    return Resolved(
        value,
        frozenset().union(*(part.from_environment for part in parts)),
        tuple(problem for part in parts for problem in part.problems),
    )


@dataclass(frozen=True, eq=False)
class ConfigSchema:
    """What one `config` parameter accepts. `annotation` is None when it is not annotated; `default` when it has one."""

    annotation: Any = None
    default: Any = NO_DEFAULT

    def check(self, raw: Any, environment: Mapping[str, str], path: Path = ()) -> tuple[Any, tuple[Problem, ...]]:
        """The value user code will get, and every problem there is with it (the value is then meaningless).

        `raw` None means that nothing was configured: the parameter's default, or an empty mapping if that will do.
        """
        if raw is None and self.default is not NO_DEFAULT:
            return self.default, ()
        resolved = resolve_environment({} if raw is None else raw, environment, path)
        if self.annotation is None or self.annotation is Any:
            return resolved.value, resolved.problems
        problems = [*resolved.problems, *self._unknown_keys(resolved.value, path)]
        missing_variables = {problem.path for problem in resolved.problems}
        value, invalid = self._validated(resolved, path)
        problems += [problem for problem in invalid if problem.path not in missing_variables]
        return value, tuple(problems)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The schema as JSON Schema; empty when it cannot be expressed as one."""
        if self.annotation is None or self.annotation is Any:
            return {}
        try:
            return dict(self._adapter.json_schema())
        except Exception:  # types that pydantic validates without being able to describe them
            return {}

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import ConfigDict, TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            return TypeAdapter(self.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # models and dataclasses bring their own configuration
            return TypeAdapter(self.annotation)

    def preload(self) -> None:
        """Builds the validator now, so that processes forked later inherit it."""
        if self.annotation is not None and self.annotation is not Any:
            _ = self._adapter

    def _validated(self, resolved: Resolved, path: Path) -> tuple[Any, list[Problem]]:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(resolved.value), []
        except ValidationError as error:
            return None, [
                _problem(detail, path, resolved.from_environment)
                for detail in error.errors(include_url=False)
                if detail["type"] not in ("extra_forbidden", "unexpected_keyword_argument")
            ]

    def _unknown_keys(self, value: Any, path: Path) -> list[Problem]:
        return _unknown(value, self.json_schema, self.json_schema.get("$defs", {}), path)


def _problem(detail: Any, path: Path, secret: frozenset[Path]) -> Problem:
    where = (*path, *(str(part) for part in detail["loc"]))
    if detail["type"] in ("missing", "missing_argument"):
        return Problem(where, "required, and missing", incomplete=True)
    message = str(detail["msg"])
    if where in secret:
        return Problem(where, f"{message} (the value comes from the environment and is not shown)")
    given = repr(detail["input"])
    return Problem(where, f"{message}, got {given if len(given) <= 60 else given[:57] + '...'}")


def _unknown(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any], path: Path) -> list[Problem]:
    schema = _dereferenced(schema, definitions)
    if isinstance(value, list):
        items = schema.get("items")
        return [p for i, v in enumerate(value) for p in _unknown(v, items or {}, definitions, (*path, str(i)))]
    if not isinstance(value, dict):
        return []
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        results = [
            _unknown(value, alternative, definitions, path)
            for alternative in alternatives
            if "properties" in _dereferenced(alternative, definitions)
        ]
        return min(results, key=len, default=[])
    known = schema.get("properties")
    if known is None or schema.get("additionalProperties"):
        return []
    problems = []
    for name, item in value.items():
        if name in known:
            problems += _unknown(item, known[name], definitions, (*path, name))
        else:
            problems.append(Problem((*path, str(name)), f"unknown. {near_misses(str(name), known, 'field')}"))
    return problems


def _dereferenced(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return definitions.get(reference.rsplit("/", 1)[-1], {})  # type: ignore[no-any-return]
    return schema
