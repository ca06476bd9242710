"""The configuration of one step or resource: its schema, checking a value against it, and secrets from the environment.

The schema is the annotation of the `config` parameter: a dataclass, TypedDict, pydantic model or anything else that
pydantic can validate. Without an annotation anything goes.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from msgspec import Struct

from orchestrator.definitions.settle import is_reference, literal_secrets, references_as_data, settled
from orchestrator.definitions.shapes import Shapes
from orchestrator.definitions.signature import NO_DEFAULT, Unevaluated
from orchestrator.definitions.source_location import Where, definition_error, where_called
from orchestrator.definitions.type_checks import type_name
from orchestrator.definitions.unknown_keys import unknown_keys
from orchestrator.errors import DefinitionError
from orchestrator.masking import SHORT, Masker
from orchestrator.typed import plain, typed_texts

Path = tuple[str, ...]
Schema = Mapping[str, Any]
NOTHING_WRITTEN: Mapping[Path, str] = types.MappingProxyType({})


class Problem(Struct, frozen=True):
    """One thing wrong with a configuration, and where. `incomplete` when more configuration could put it right; `unset`
    when a variable of the environment would; `unwired` when the pipeline's code is the likelier place."""

    path: Path
    message: str
    incomplete: bool = False
    unset: bool = False
    unwired: bool = False

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}"


class Resolved(Struct, frozen=True):
    """A value whose `{env: NAME}` entries have been replaced, and what they were replaced by."""

    value: Any
    secrets: frozenset[str]
    problems: tuple[Problem, ...]


def resolve_environment(
    value: Any, environment: Mapping[str, str], path: Path = (), data: frozenset[Path] = frozenset()
) -> Resolved:
    """Replaces every `{env: NAME}` inside `value` by that variable's text; an unset one is a problem. At the places in
    `data` it is a mapping like any other."""
    if isinstance(value, Mapping):
        if is_reference(value) and path not in data:
            name = str(value["env"])
            if name in environment:
                return Resolved(environment[name], frozenset({environment[name]}), ())
            problem = Problem(path, f"the environment variable {name} is not set", incomplete=True, unset=True)
            return Resolved(None, frozenset(), (problem,))
        parts = {
            str(key): resolve_environment(item, environment, (*path, str(key)), data) for key, item in value.items()
        }
        return _joined({key: part.value for key, part in parts.items()}, list(parts.values()))
    if isinstance(value, (list, tuple)):
        items = [resolve_environment(item, environment, (*path, str(i)), data) for i, item in enumerate(value)]
        return _joined([item.value for item in items], items)
    return Resolved(value, frozenset(), ())


def has_reference(value: Any) -> bool:
    """Whether `{env: NAME}` is somewhere in the value."""
    if isinstance(value, Mapping):
        return is_reference(value) or any(map(has_reference, value.values()))
    return isinstance(value, (list, tuple)) and any(map(has_reference, value))


def _joined(value: Any, parts: list[Resolved]) -> Resolved:
    return Resolved(
        value,
        frozenset().union(*(part.secrets for part in parts)),
        tuple(problem for part in parts for problem in part.problems),
    )


class ConfigSchema(Struct, frozen=True, eq=False, dict=True):
    """What one `config` parameter accepts. `annotation` is None when it is not annotated; `default` when it has one.
    `owner` is what the parameter belongs to, and where that stands."""

    annotation: Any = None
    default: Any = NO_DEFAULT
    owner: tuple[str, Where] | None = None

    def check(
        self,
        raw: Any,
        environment: Mapping[str, str],
        path: Path = (),
        written: Mapping[Path, str] = NOTHING_WRITTEN,
    ) -> tuple[Any, tuple[Problem, ...]]:
        """The value user code will get, and every problem there is with it (the value is then meaningless).

        `raw` None means that nothing was configured: the parameter's default, or an empty mapping if that will do, or
        None if that will. `written` is the text of values that were typed, for messages. Raises DefinitionError for an
        annotation that nothing can be checked against.
        """
        if raw is None and self.default is not NO_DEFAULT:
            return self.default, ()
        value, problems, invalid = self._check({} if raw is None else raw, environment, path, written)
        if raw is None and invalid:
            return self._nothing(invalid, path)
        return value, (*problems, *invalid)

    def convert(
        self, raw: Any, environment: Mapping[str, str], path: Path, written: Mapping[Path, str] = NOTHING_WRITTEN
    ) -> tuple[Any, tuple[Problem, ...]]:
        """Like `check`, for a value that is there, even if it is None."""
        value, problems, invalid = self._check(raw, environment, path, written)
        return value, (*problems, *invalid)

    def settle(self, raw: Any, environment: Mapping[str, str]) -> Any:
        """The value with what each typed one in it means here (`settle`); the same as before where none is typed."""
        if not any(typed_texts(raw)):
            return raw
        if self._takes_anything():
            return plain(raw)
        return settled(raw, self._shapes, lambda candidate: self._refused(candidate, environment))

    def literal_secrets(self, raw: Any, path: Path) -> list[Problem]:
        """A problem for each secret in the value that is not read from the environment: it would be stored."""
        if raw is None or self._takes_anything():
            return []
        message = "is a secret, and would be stored as it stands here: write {env: NAME}, and set that variable"
        return [Problem((*path, *place), message) for place in literal_secrets(raw, self._shapes)]

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The schema as JSON Schema; empty when it cannot be expressed as one."""
        if self._takes_anything():
            return {}
        try:
            return dict(self._adapter.json_schema(schema_generator=_settable_fields_only()))
        except Exception:  # types that pydantic validates without being able to describe them
            return {}

    def default_values(self) -> dict[str, Any]:
        """The default as plain data, field by field; empty when there is none, or none with fields."""
        if self.default is NO_DEFAULT or self._takes_anything():
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
            raise definition_error(*self._owner(), problem, hint)
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
            raise definition_error(*self._owner(), problem, hint) from None

    def _owner(self) -> tuple[str, Where]:
        return self.owner or ("Configuration", where_called())

    def require(self) -> None:
        """Raises DefinitionError for an annotation that nothing can be checked against."""
        if not self._takes_anything():
            _ = self._adapter

    def preload(self) -> None:
        """Builds the validator now if it can be built, so that processes forked later inherit it."""
        try:
            self.require()
        except DefinitionError:
            pass  # said when a configuration is checked: this one may not even be needed

    def _takes_anything(self) -> bool:
        return self.annotation is None or self.annotation is Any

    @cached_property
    def _shapes(self) -> Shapes:
        return Shapes(self._adapter.core_schema)

    def _resolved(self, raw: Any, environment: Mapping[str, str], path: Path) -> Resolved:
        if self._takes_anything() or not has_reference(raw):
            return resolve_environment(raw, environment, path)
        data = {(*path, *place) for place in references_as_data(raw, self._shapes)}
        return resolve_environment(raw, environment, path, frozenset(data))

    def _check(
        self, raw: Any, environment: Mapping[str, str], path: Path, written: Mapping[Path, str]
    ) -> tuple[Any, list[Problem], list[Problem]]:
        """(value, problems, what the type says against the value)"""
        resolved = self._resolved(raw, environment, path)
        if self._takes_anything():
            return resolved.value, list(resolved.problems), []
        problems = [*resolved.problems, *self._unknown_keys(resolved.value, path)]
        missing_variables = {problem.path for problem in resolved.problems}
        value, invalid = self._validated(resolved, path, written)
        return value, problems, [problem for problem in invalid if problem.path not in missing_variables]

    def _validated(
        self, resolved: Resolved, path: Path, written: Mapping[Path, str] = NOTHING_WRITTEN
    ) -> tuple[Any, list[Problem]]:
        from pydantic import ValidationError

        adapter = self._adapter
        try:
            return adapter.validate_python(resolved.value), []
        except ValidationError as error:
            return None, [
                _problem(detail, path, resolved, written)
                for detail in error.errors(include_url=False)
                if detail["type"] not in ("extra_forbidden", "unexpected_keyword_argument")
            ]
        except Exception as error:  # a validator of the user's own may raise anything, and quote a secret in it
            said = Masker(resolved.secrets).pieces(f"{type(error).__name__}: {error}")
            return None, [Problem(path, f"a validator failed with {said}")]

    def _refused(self, raw: Any, environment: Mapping[str, str]) -> frozenset[Path]:
        """The places in the value that its type does not accept."""
        resolved = self._resolved(raw, environment, ())
        return frozenset(problem.path for problem in self._validated(resolved, ())[1])

    def _nothing(self, invalid: list[Problem], path: Path) -> tuple[Any, tuple[Problem, ...]]:
        value, not_none = self._validated(Resolved(None, frozenset(), ()), path)
        if not not_none:
            return value, ()
        missing = Problem(path, "required, and missing", incomplete=True)
        return None, tuple(problem if problem.path != path else missing for problem in invalid)

    def _unknown_keys(self, value: Any, path: Path) -> list[Problem]:
        found = unknown_keys(value, self.json_schema, self.json_schema.get("$defs", {}), path)
        return [Problem(where, message) for where, message in found]


@cache
def _settable_fields_only() -> Any:
    """A generator of JSON Schema without the fields that a dataclass does not take (`field(init=False)`): pydantic
    describes them, and ignores what is given for them."""
    from pydantic.json_schema import GenerateJsonSchema

    class SettableFieldsOnly(GenerateJsonSchema):
        def dataclass_args_schema(self, schema: Any) -> Any:
            settable: Any = {**schema, "fields": [one for one in schema["fields"] if one.get("init", True)]}
            return super().dataclass_args_schema(settable)

    return SettableFieldsOnly


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


def _problem(detail: Any, path: Path, resolved: Resolved, written: Mapping[Path, str]) -> Problem:
    where = (*path, *_place(detail["loc"], resolved.value))
    if detail["type"] in ("missing", "missing_argument"):
        return Problem((*where, str(detail["loc"][-1])), "required, and missing", incomplete=True)
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if detail["type"] == "time_delta_parsing":
        message = "not a duration: write seconds, 01:30:00 or PT1H30M (ISO 8601)"
    if _holds_secret(detail["input"], resolved.secrets):
        # A validator of the user's own may quote the value.
        message = Masker(resolved.secrets).pieces(message)
        return Problem(where, f"{message} (the value comes from the environment and is not shown)")
    given = written.get(where) or repr(detail["input"])
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
