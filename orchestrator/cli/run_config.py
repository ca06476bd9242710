"""Reads the configuration of a run from the command line: files, single values, tags. Planning checks it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, UsageError
from orchestrator.planning.run_config import merged
from orchestrator.typed import Place, Typed, plain_scalar

# Deeper than any configuration is.
DEEPEST = 100
# Quotes, blocks and tags.
_BEGINS_YAML = "'\"|>!"


def read_config(files: list[Path], sets: list[str]) -> dict[str, Any]:
    """The files merged in order, and then the single values."""
    config: dict[str, Any] = {}
    for file in files:
        config = merged(config, _read_file(file))
    for item in sets:
        config = merged(config, _single(item))
    return config


def read_tags(items: list[str]) -> dict[str, str]:
    """Tags given as NAME=VALUE. Names that begin with `orchestrator/` are ours."""
    from orchestrator.model.run import SYSTEM_TAG_PREFIX

    tags = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"{item!r} is not a tag.", hint="Write --tag name=value.")
        if name.startswith(SYSTEM_TAG_PREFIX):
            raise UsageError(f"The tag {name!r} is reserved.", hint=f"Tags may not begin with {SYSTEM_TAG_PREFIX}")
        tags[name] = value
    return tags


def _read_file(path: Path) -> dict[str, Any]:
    from orchestrator.yaml_text import NotYaml, read_json, read_yaml

    what = "The configuration on standard input" if str(path) == "-" else f"The configuration file {path}"
    text = _text_of(path, what)
    try:
        if path.suffix == ".json":
            data, twice = read_json(text), []
        else:
            document = read_yaml(text)
            data, twice = (
                document.data,
                [f"line {document.lines[place]}: {_dotted(place)}: given twice" for place in document.twice],
            )
    except NotYaml as error:
        language = "JSON" if path.suffix == ".json" else "YAML"
        raise ConfigError(f"{what}{error.where} is not {language}: {error.problem}.") from None
    if twice:
        raise ConfigError(f"{what} gives keys twice:", details=twice, hint="Take one of the two out.")
    if data is None:
        return {}
    if not isinstance(data, dict):
        found = "a list" if isinstance(data, list) else repr(data)
        raise ConfigError(f"{what} must be a mapping (`steps:`, `resources:`, `inputs:`), got {found}.")
    return data


def _text_of(path: Path, what: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}.") from None
    except (OSError, ValueError) as error:  # a path with NUL in it, bytes that are not UTF-8
        raise ConfigError(f"{what} cannot be read: {error}.") from error


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _single(item: str) -> dict[str, Any]:
    path, equals, text = item.partition("=")
    parts = path.split(".")
    if not equals or not all(parts):
        raise UsageError(f"{item!r} sets nothing.", hint="Write --set steps.STEP.config.FIELD=VALUE.")
    if len(parts) > DEEPEST:
        raise UsageError(f"--set {path[:40]}... goes {len(parts)} levels deep; {DEEPEST} is the most.")
    value = _value(item, text)
    for part in reversed(parts):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _value(item: str, text: str) -> Any:
    """A value on the command line. Quotes, lists and mappings are YAML; anything else is taken as it stands."""
    from orchestrator.yaml_text import NotYaml, read_yaml

    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"The value of --set {item!a} is not UTF-8.") from None
    try:
        document = read_yaml(text)
    except NotYaml:
        return text
    if document.twice:
        raise UsageError(f"--set {item} gives {_dotted(document.twice[0])} twice.")
    if isinstance(document.data, (list, dict)):
        return Typed(text, document.data)
    # Anything else stays as it is, also where YAML would end at a comment or fold lines.
    return document.data if text[:1] in _BEGINS_YAML and text else plain_scalar(text)
