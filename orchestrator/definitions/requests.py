"""What a schedule or sensor returns: runs that it requests, or why it requests none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.run import SYSTEM_TAG_PREFIX
from orchestrator.model.tick import Requested
from orchestrator.typed import copied, escaped, storable

LONGEST_KEY = 1000
MOST_REQUESTS = 100_000


@dataclass(frozen=True)
class RunRequest:
    """Asks for a run. For one schedule or sensor each `run_key` is run once, ever; without one, every time.

    `config`, `tags`, `mode` and `preset` are as for a run from the command line: `config` is merged into that of the
    preset, and checked when the run is planned, before the tick is recorded. One request that is not valid fails the
    tick: none of its requests is queued, and the cursor stays where it was. `pipeline` names another pipeline of the
    same location than the definition does.

    Text that is not UTF-8, such as a file name in another encoding, is kept with each odd byte written as `\\udcXX`.
    """

    run_key: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    pipeline: Any = None
    mode: str | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.run_key, str) and not _is_utf8(self.run_key):
            # The name of a file in another encoding. One such file must not keep all others waiting.
            for name in ("run_key", "config", "tags"):
                object.__setattr__(self, name, escaped(getattr(self, name)))
        try:
            self._check()
        except (TypeError, ValueError) as error:
            if isinstance(self.run_key, str) and "run_key" not in str(error):
                raise type(error)(f"{error}, in the RunRequest with run_key {_shown(self.run_key)}") from None
            raise
        # A sensor may fill one dict again and again: each request keeps what it said when it was made.
        object.__setattr__(self, "tags", dict(self.tags))
        with suppress(RecursionError):  # nested without end, which is refused where it is read
            object.__setattr__(self, "config", copied(self.config))

    def _check(self) -> None:
        key = self.run_key
        if key is not None and (not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY):
            raise ValueError(f"run_key must be a text of 1 to {LONGEST_KEY} characters, got {_shown(key)}")
        if key is not None and any(unicodedata.category(character) == "Cc" for character in key):
            raise ValueError(f"run_key must be one line without control characters, got {_shown(key)}")
        if not isinstance(self.config, Mapping):
            raise TypeError(f"config must be a mapping, got {_shown(self.config)}")
        if not isinstance(self.tags, Mapping):
            raise TypeError(f"tags must be texts by name, got {_shown(self.tags)}")
        for name, value in self.tags.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"tags must be texts by name, got {_shown({name: value})}")
            if name.startswith(SYSTEM_TAG_PREFIX):
                raise ValueError(f"the tag {name!r} is reserved: it begins with {SYSTEM_TAG_PREFIX!r}")
        for option, given in (("pipeline", _name_of(self.pipeline)), ("mode", self.mode), ("preset", self.preset)):
            if given is not None and not isinstance(given, str):
                raise TypeError(f"{option} must be a name, got {_shown(given)}")


@dataclass(frozen=True)
class SkipReason:
    """Says why nothing is to be run this time."""

    message: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.message, str):
            raise TypeError(f"a SkipReason is a text, got {_shown(self.message)}")


def requests_of(
    result: Any, *, who: str, where: str = "", none_means_run: bool
) -> tuple[tuple[Requested, ...], str | None]:
    """What user code answered: (requests, reason for none). Raises TypeError or ValueError naming `who` and where it
    is defined: there is no traceback that would lead there."""
    place = f" ({where})" if where else ""
    if result is None and none_means_run:
        return (Requested(),), None
    if isinstance(result, RunRequest):
        return (_requested(result),), None
    items = list(_items(result))
    if len(items) > MOST_REQUESTS:
        raise ValueError(f"{who} asked for {len(items)} runs at once; at most {MOST_REQUESTS} are taken{place}")
    skips = [item for item in items if isinstance(item, SkipReason)]
    wanted = [item for item in items if not isinstance(item, SkipReason)]
    if skips and wanted:
        raise TypeError(f"{who} gave a SkipReason and a RunRequest; it can only be one of the two{place}")
    for item in wanted:
        if not isinstance(item, RunRequest) and not (none_means_run and isinstance(item, Mapping)):
            hint = ". Config goes into one: RunRequest(config=...)" if isinstance(item, Mapping) else ""
            raise TypeError(f"{who} must give RunRequests or a SkipReason, got {_shown(item)}{hint}{place}")
    if none_means_run and len(wanted) > 1 and any(not getattr(item, "run_key", None) for item in wanted):
        raise ValueError(f"{who} must specify a run_key in each RunRequest, because it gave several{place}")
    return tuple(map(_requested, wanted)), "; ".join(skip.message for skip in skips) or None


def _items(result: Any) -> Iterator[Any]:
    if result is None:
        return
    if isinstance(result, (RunRequest, SkipReason, Mapping, str)) or not hasattr(result, "__iter__"):
        yield result
        return
    for count, item in enumerate(result):
        if item is not None:
            yield copied(item) if isinstance(item, Mapping) else item
        if count > MOST_REQUESTS:
            return


def _requested(item: RunRequest | Mapping[str, Any]) -> Requested:
    if not isinstance(item, RunRequest):
        return Requested(config=storable(item))
    pipeline = _name_of(item.pipeline)
    return Requested(item.run_key, storable(item.config), dict(item.tags), pipeline, item.mode, item.preset)


def _name_of(pipeline: Any) -> Any:
    return getattr(pipeline, "name", pipeline)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}... ({len(text)} characters)"
