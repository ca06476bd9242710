"""Configuration of one step or resource: its schema, checking a value against it, and secrets from the environment.
Knows nothing of runs: which value belongs to which step is for `planning.run_config` to say.

The schema is the annotation of the `config` parameter: a dataclass, TypedDict, pydantic model or anything else that
pydantic can validate. Without an annotation anything goes.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.definitions.signature import NO_DEFAULT, Unevaluated
from orchestrator.definitions.types import type_name
from orchestrator.definitions.where import Where, broken, where_called
from orchestrator.errors import DefinitionError, near_misses
from orchestrator.masking import SHORT, Masker

Path = tuple[str, ...]
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration, and where. `incomplete` when more configuration could put it right; `unset`
    when a variable of the environment would."""

    path: Path
    message: str
    incomplete: bool = False
    unset: bool = False

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}"


@dataclass(frozen=True)
class Resolved:
    """A value whose `{env: NAME}` entries have been replaced, and what they were replaced by."""

    value: Any
    secrets: frozenset[str]
    problems: tuple[Problem, ...]


def resolve_environment(value: Any, environment: Mapping[str, str], path: Path = ()) -> Resolved:
    """Replaces every `{env: NAME}` inside `value` by that variable's text; an unset one is a problem."""
    if isinstance(value, Mapping):
        if value.keys() == {"env"} and isinstance(value["env"], str):
            name = value["env"]
            if name in environment:
                return Resolved(environment[name], frozenset({environment[name]}), ())
            problem = Problem(path, f"the environment variable {name} is not set", incomplete=True, unset=True)
            return Resolved(None, frozenset(), (problem,))
        parts = {str(key): resolve_environment(item, environment, (*path, str(key))) for key, item in value.items()}
        return _joined({key: part.value for key, part in parts.items()}, list(parts.values()))
    if isinstance(value, (list, tuple)):
        items = [resolve_environment(item, environment, (*path, str(i))) for i, item in enumerate(value)]
        return _joined([item.value for item in items], items)
    return Resolved(value, frozenset(), ())


def _joined(value: Any, parts: list[Resolved]) -> Resolved:
    return Resolved(
        value,
        frozenset().union(*(part.secrets for part in parts)),
        tuple(problem for part in parts for problem in part.problems),
    )


@dataclass(frozen=True, eq=False)
class ConfigSchema:
    """What one `config` parameter accepts. `annotation` is None when it is not annotated; `default` when it has one.
    `owner` is what the parameter belongs to, and where that stands."""

    annotation: Any = None
    default: Any = NO_DEFAULT
    owner: tuple[str, Where] | None = None

    def check(self, raw: Any, environment: Mapping[str, str], path: Path = ()) -> tuple[Any, tuple[Problem, ...]]:
        """The value user code will get, and every problem there is with it (the value is then meaningless).

        `raw` None means that nothing was configured: the parameter's default, or an empty mapping if that will do, or
        None if that will. Raises DefinitionError for an annotation that nothing can be checked against.
        """
        if raw is None and self.default is not NO_DEFAULT:
            return self.default, ()
        resolved = resolve_environment({} if raw is None else raw, environment, path)
        if self.annotation is None or self.annotation is Any:
            return resolved.value, resolved.problems
        problems = [*resolved.problems, *self._unknown_keys(resolved.value, path)]
        missing_variables = {problem.path for problem in resolved.problems}
        value, invalid = self._validated(resolved, path)
        if raw is None and invalid:
            return self._nothing(invalid, path)
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

    def default_values(self) -> dict[str, Any]:
        """The default as plain data, field by field; empty when there is none, or none with fields."""
        if self.default is NO_DEFAULT or self.annotation is None or self.annotation is Any:
            return {}
        try:
            values = self._adapter.dump_python(self.default, mode="json", warnings=False)
        except Exception:  # a default of any type at all may stand here
            return {}
        return values if isinstance(values, dict) else {}

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import ConfigDict, TypeAdapter
        from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

        if isinstance(self.annotation, Unevaluated):
            # Left unchecked, it would be a dictionary instead of what the author expects.
            problem = f"the annotation of `config`, {self.annotation}, cannot be evaluated."
            hint = "Import the name at the top of the module, not under `if TYPE_CHECKING:`."
            raise broken(*self._owner(), problem, hint)
        try:
            annotation = _modern(self.annotation) if sys.version_info < (3, 12) else self.annotation
            try:
                return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
            except PydanticUserError:  # models and dataclasses bring their own configuration
                return TypeAdapter(annotation)
        except (PydanticUserError, PydanticUndefinedAnnotation, NameError, TypeError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            problem = f"nothing can be checked against `config: {type_name(self.annotation)}`: {reason}"
            hint = "Annotate it with a dataclass, a TypedDict or a pydantic model."
            raise broken(*self._owner(), problem, hint) from None

    def _owner(self) -> tuple[str, Where]:
        return self.owner or ("Configuration", where_called())

    def preload(self) -> None:
        """Builds the validator now if it can be built, so that processes forked later inherit it."""
        if self.annotation is not None and self.annotation is not Any:
            try:
                _ = self._adapter
            except DefinitionError:
                pass  # said when a configuration is checked: this one may not even be needed

    def _validated(self, resolved: Resolved, path: Path) -> tuple[Any, list[Problem]]:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(resolved.value), []
        except ValidationError as error:
            return None, [
                _problem(detail, path, resolved)
                for detail in error.errors(include_url=False)
                if detail["type"] not in ("extra_forbidden", "unexpected_keyword_argument")
            ]

    def _nothing(self, invalid: list[Problem], path: Path) -> tuple[Any, tuple[Problem, ...]]:
        value, not_none = self._validated(Resolved(None, frozenset(), ()), path)
        if not not_none:
            return value, ()
        missing = Problem(path, "required, and missing", incomplete=True)
        return None, tuple(problem if problem.path != path else missing for problem in invalid)

    def _unknown_keys(self, value: Any, path: Path) -> list[Problem]:
        return unknown_keys(value, self.json_schema, self.json_schema.get("$defs", {}), path)


def _modern(annotation: Any) -> Any:
    """The annotation with each `typing.TypedDict` of Python 3.11 made into one that pydantic accepts there."""
    if typing.is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return _modern_typed_dict(annotation)
    args = typing.get_args(annotation)
    changed = tuple(_modern(arg) for arg in args)
    if all(new is old for new, old in zip(changed, args, strict=True)):
        return annotation
    if isinstance(annotation, types.GenericAlias):
        return annotation.__origin__[changed]  # type: ignore[index]
    if isinstance(annotation, types.UnionType):
        return typing.Union[changed]  # noqa: UP007
    return annotation.copy_with(changed[:1] if typing.get_origin(annotation) is typing.Annotated else changed)


def _modern_typed_dict(annotation: Any) -> Any:
    from typing_extensions import TypedDict  # comes with pydantic

    fields = {}
    for name, hint in typing.get_type_hints(annotation).items():
        needed = name in annotation.__required_keys__
        fields[name] = (typing.Required if needed else typing.NotRequired)[_modern(hint)]
    return TypedDict(annotation.__name__, fields)  # type: ignore[operator]


def _problem(detail: Any, path: Path, resolved: Resolved) -> Problem:
    where = (*path, *_place(detail["loc"], resolved.value))
    if detail["type"] in ("missing", "missing_argument"):
        return Problem((*where, str(detail["loc"][-1])), "required, and missing", incomplete=True)
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if _holds_secret(detail["input"], resolved.secrets):
        # A validator of the user's own may quote the value.
        message = Masker(resolved.secrets).pieces(message)
        return Problem(where, f"{message} (the value comes from the environment and is not shown)")
    given = repr(detail["input"])
    return Problem(where, f"{message}, got {given if len(given) <= 60 else given[:57] + '...'}")


def _place(location: tuple[int | str, ...], value: Any) -> Iterator[str]:
    """The parts of a location that lead into the value; pydantic also names the members of unions it tried."""
    for part in location:
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if inside:
            value = value[part]
            yield str(part)


def _holds_secret(value: Any, secrets: frozenset[str]) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_secret(item, secrets) for item in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_holds_secret(item, secrets) for item in value)
    text = str(value)
    # A short one is part of many a value that has nothing to do with it.
    return any(secret == text or (len(secret) > SHORT and secret in text) for secret in secrets)


def unknown_keys(value: Any, schema: Schema, definitions: Mapping[str, Schema], path: Path) -> list[Problem]:
    """The keys inside the value, at any depth, that its JSON Schema has no place for."""
    if not isinstance(value, (dict, list)):
        return []
    found = [
        _unknown_in_list(value, option, definitions, path)
        if isinstance(value, list)
        else _unknown_in_dict(value, option, definitions, path)
        for option in _alternatives(value, schema, definitions)
    ]
    return min(found, key=len, default=[])


def _unknown_in_list(value: list[Any], schema: Schema, definitions: Mapping[str, Schema], path: Path) -> list[Problem]:
    first, rest = schema.get("prefixItems", []), schema.get("items")
    schemas = [first[i] if i < len(first) else rest for i in range(len(value))]
    return [
        problem
        for i, (item, inner) in enumerate(zip(value, schemas, strict=True))
        if isinstance(inner, dict)
        for problem in unknown_keys(item, inner, definitions, (*path, str(i)))
    ]


def _unknown_in_dict(
    value: dict[str, Any], schema: Schema, definitions: Mapping[str, Schema], path: Path
) -> list[Problem]:
    known, others = schema.get("properties"), schema.get("additionalProperties")
    problems = []
    for name, item in value.items():
        inner = (known or {}).get(name, others)
        if isinstance(inner, dict):
            problems += unknown_keys(item, inner, definitions, (*path, name))
        elif known is not None and not inner:
            hint = near_misses(name, known, "field") if known else "It has no fields."
            problems.append(Problem((*path, name), f"unknown. {hint}"))
    return problems


def _alternatives(value: Any, schema: Schema, definitions: Mapping[str, Schema]) -> list[Schema]:
    """The schemas, of all that a union allows, that may be meant by a value of this form."""
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    members = schema.get("anyOf") or schema.get("oneOf")
    if members:
        options = [option for member in members for option in _alternatives(value, member, definitions)]
        return [option for option in options if _agrees(value, option)] or options
    form = "array" if isinstance(value, list) else "object"
    return [schema] if schema.get("type", form) == form else []


def _agrees(value: Any, schema: Schema) -> bool:
    """Whether the value says nothing else where the schema allows one constant only (a tag that tells types apart)."""
    fields = schema.get("properties", {}) if isinstance(value, dict) else {}
    return all(value[name] == field["const"] for name, field in fields.items() if "const" in field and name in value)
