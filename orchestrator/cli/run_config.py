"""The configuration of a run as given on the command line: files, single values, tags. Whether any of it fits the
pipeline is for planning to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, UsageError
from orchestrator.planning.run_config import merged


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
    from orchestrator.records import SYSTEM_TAG_PREFIX

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
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"The configuration file {path}{where} is not YAML: {said}.") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"The configuration file {path} must be a mapping, not {type(data).__name__}.")
    return data


def _single(item: str) -> dict[str, Any]:
    import yaml

    path, equals, text = item.partition("=")
    parts = path.split(".")
    if not equals or not all(parts):
        raise UsageError(f"{item!r} sets nothing.", hint="Write --set steps.STEP.config.FIELD=VALUE.")
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    for part in reversed(parts):
        value = {part: value}
    return value  # type: ignore[no-any-return]
