"""One location as the daemon keeps it, and small facts about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct, field

from orchestrator.code_locations.evaluator_pool import EvaluatorPool
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.daemon.file_watcher import Signature
from orchestrator.errors import LocationBroken, OrchestratorError
from orchestrator.model.automation import Declared
from orchestrator.model.location import BrokenInfo
from orchestrator.planning.plan import PlannedRun

_FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)


class Location(Struct):
    """One location, and what its newest process declares."""

    name: str
    process: LocationProcess | None = None
    evaluators: EvaluatorPool | None = None
    error: OrchestratorError | None = None
    broken_before: tuple[BrokenInfo, ...] = ()  # the broken definitions of the last version that could be loaded
    started_at: datetime | None = None
    started_ns: int = 0  # the same by the clock that file systems go by
    loaded_at: datetime | None = None
    broken_at: datetime | None = None
    crashes: int = 0
    tries: int = 0  # in vain, one after another
    restarted_because: str | None = None
    size_kb: int | None = None  # memory of its own, once loaded; None where that cannot be known
    retry_at: datetime | None = None
    files: Signature = ()
    doubted: Signature = ()  # files that it was loaded from again, because they may have changed meanwhile
    changed_at: datetime | None = None
    plans: dict[bytes, PlannedRun | str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        if self.error is not None:
            return "broken"
        return "loaded" if self.evaluators is not None else "loading"

    @property
    def is_loading(self) -> bool:
        """Whether it will be known before long if it can be asked: even of one that has been broken so far."""
        return self.evaluators is None and (self.process is not None or self.error is None)

    @property
    def since(self) -> datetime | None:
        """Since when it is in that state."""
        return {"broken": self.broken_at, "loaded": self.loaded_at, "loading": self.started_at}[self.state]

    def pipelines(self) -> list[str]:
        if self.evaluators is None or self.process is None or self.process.loaded is None:
            return []
        return [info.name for info in self.process.loaded.info.pipelines]

    def broken(self) -> tuple[BrokenInfo, ...]:
        """The definitions of a loaded location that cannot be right."""
        if self.evaluators is None or self.process is None or self.process.loaded is None:
            return ()
        return self.process.loaded.info.broken

    def known_broken(self) -> tuple[BrokenInfo, ...]:
        """The broken definitions to report: while the location loads again, those of the version before."""
        return self.broken_before if self.evaluators is None and self.error is None else self.broken()

    def is_broken(self, name: str) -> bool:
        """Whether a loaded location has a schedule or sensor of that name which cannot be right."""
        return any(one.name == name and one.is_automation for one in self.broken())

    def declared(self) -> Iterator[Declared]:
        """The schedules and sensors of a loaded location."""
        if self.evaluators is not None and self.process is not None and self.process.loaded is not None:
            yield from self.process.loaded.info.schedules
            yield from self.process.loaded.info.sensors


def entry_points(working_dir: Path, module: str | None, file: str | None) -> list[str]:
    """Where the module of a location is, or would be: watched even when it could not be imported."""
    if file is not None:
        return [str(working_dir / file)]
    path = working_dir.joinpath(*str(module).split("."))
    return [f"{path}.py", str(path / "__init__.py")]


def pause_before_try(tries: int) -> timedelta:
    """How long to wait after that many tries in vain."""
    longer: int = 2 ** min(tries, 10)
    return min(_FIRST_PAUSE * longer, LONGEST_PAUSE)


def is_same(error: OrchestratorError, before: OrchestratorError | None) -> bool:
    """Whether the same has been said before."""
    return before is not None and (str(error), traceback_of(error)) == (str(before), traceback_of(before))


def traceback_of(error: OrchestratorError) -> str | None:
    """Where user code went wrong, if it did."""
    return error.traceback if isinstance(error, LocationBroken) else None
