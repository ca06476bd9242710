"""A contract for executors, for the tests of their authors.

    from orchestrator.testing import ExecutorContract

    class TestMine(ExecutorContract):
        executor = "package.module.Remote"

pytest finds the tests of the base class. Each is what the owner of a run relies on; see docs/executors.md.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from orchestrator import clock
from orchestrator.attempts.observation import FINAL, Observation, Phase
from orchestrator.attempts.package import AttemptPackage, run_package
from orchestrator.executors.base import Attempt, Executor
from orchestrator.executors.registry import make_executor
from orchestrator.ids import new_run_id
from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.events import AttemptEvent, AttemptStarted, AttemptSucceeded
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.planning.plan import PlanRequest
from orchestrator.runlog.creation import create_run
from orchestrator.service.workspace import Workspace, find_pipeline, plan
from orchestrator.settings import load_settings

_PIPELINES = """
    import os, signal, time
    from orchestrator import Failure, pipeline, step

    @step
    def quick() -> None:
        pass

    @step
    def slow(context) -> None:
        context.log.info("begun")
        time.sleep({slow_s})

    @step
    def fails() -> None:
        raise Failure("on purpose")

    @step
    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @step
    def exits() -> None:
        os._exit(7)

    @pipeline
    def everything():
        quick(); slow(); fails(); killed(); exits()
"""
_PAUSE_S = 0.02


class Owner:
    """The owner of one run of the pipeline `everything`, which launches attempts by hand.

    `restart` makes it forget what it knew, as if its process had died; attempts keep running. `path` holds the
    workspace file. Anything that is waited for may take `patience_s` seconds.
    """

    def __init__(self, path: Path, executor: str, isolation: str, patience_s: float) -> None:
        self._path = path
        self._name = executor
        self._isolation = isolation
        self._patience_s = patience_s
        self.events: list[AttemptEvent] = []
        self._open()
        found = find_pipeline(self.workspace, "everything")
        planned = plan(self.workspace, found, PlanRequest(pipeline="everything"))
        record = RunRecord(
            run_id=new_run_id(),
            pipeline="everything",
            location="main",
            mode="default",
            created_at=clock.now(),
            trigger=Trigger(),
            plan=planned.encoded_plan,
        )
        self.run_id = create_run(self.workspace.state, record).run_id
        self._package = run_package(record, str(self.workspace.state.storage))

    def _open(self) -> None:
        self.workspace = Workspace(load_settings(self._path / ".orchestrator.yaml"))
        self.executor: Executor = make_executor(self._name, self.workspace.executor_context)

    def restart(self) -> None:
        """Another owner, which knows only what lies in the state."""
        self.workspace.close()
        self.events = []
        self._open()

    def attempt(self, step: str, number: int = 1) -> Attempt:
        spec = AttemptSpec(run_id=self.run_id, step=step, template=step, attempt=number)
        package = AttemptPackage(run=self._package, spec=spec)
        return Attempt(package, "main", isolation=self._isolation)

    def run(self, step: str) -> Observation:
        return self.until(self.executor.launch(self.attempt(step)), *FINAL)

    def until(self, handle: str, *phases: Phase) -> Observation:
        """Polls until the attempt is in one of these phases."""
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            seen = self.executor.poll().get(handle)
            if seen is not None:
                self.events += seen.events
                if seen.phase in phases:
                    return seen
            time.sleep(_PAUSE_S)
        raise AssertionError(f"{handle} was in none of the phases {', '.join(phases)} within the time")

    def until_begun(self, handle: str) -> None:
        """Polls until the attempt runs. Its events may come later."""
        expect(self.until(handle, Phase.RUNNING, *FINAL), Phase.RUNNING)

    @property
    def starts(self) -> int:
        return sum(isinstance(event, AttemptStarted) for event in self.events)


def expect(seen: Observation, phase: Phase) -> None:
    """Raises AssertionError with all that was observed when an attempt is in another phase."""
    assert seen.phase is phase, f"{seen.phase} and not {phase}: {seen.reason or seen.error or seen.events}"


class ExecutorContract:
    """What every executor guarantees. Set `executor` to its name or dotted path. Override `settings` for what it needs
    in the workspace file, and the rest where it does not fit."""

    executor: ClassVar[str]
    isolation: ClassVar[str] = "fork"
    # Whether an attempt's process may die without taking others with it.
    has_own_process: ClassVar[bool] = True
    # How long the slow step takes, and how long anything may take. In seconds.
    slow_s: ClassVar[float] = 3.0
    patience_s: ClassVar[float] = 60.0

    def settings(self) -> str:
        """More lines of the workspace file, in YAML."""
        return ""

    def location(self) -> str:
        """More lines of the location in it, in YAML."""
        return ""

    @contextmanager
    def owner(self, path: Path) -> Iterator[Owner]:
        """An owner of a run of a small workspace in that directory."""
        pipelines = textwrap.dedent(_PIPELINES).format(slow_s=self.slow_s)
        (path / "pipelines.py").write_text(pipelines)
        location = "".join(f"  {line}\n" for line in ("name: main", *self.location().splitlines()))
        (path / ".orchestrator.yaml").write_text(f"locations:\n- file: pipelines.py\n{location}{self.settings()}\n")
        owner = Owner(path, self.executor, self.isolation, self.patience_s)
        try:
            yield owner
        finally:
            owner.workspace.close()

    def test_an_attempt_runs_and_reports_its_events_in_order(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            expect(owner.run("quick"), Phase.SUCCEEDED)
            assert isinstance(owner.events[0], AttemptStarted)
            assert isinstance(owner.events[-1], AttemptSucceeded)
            assert [event.n for event in owner.events] == list(range(len(owner.events)))

    def test_a_failure_is_an_outcome(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            expect(owner.run("fails"), Phase.FAILED)
            assert "on purpose" in str(owner.events[-1])

    def test_launching_twice_runs_it_once(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            handle = owner.executor.launch(owner.attempt("slow"))
            assert owner.executor.launch(owner.attempt("slow")) == handle
            expect(owner.until(handle, *FINAL), Phase.SUCCEEDED)
            assert owner.starts == 1

    def test_the_final_observation_is_given_once(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            owner.run("quick")
            assert owner.executor.poll() == {}

    def test_a_process_that_dies_fails_its_attempt_and_no_other(self, tmp_path: Path) -> None:
        if not self.has_own_process:
            return
        with self.owner(tmp_path) as owner:
            for step, cause in (("killed", "SIGKILL"), ("exits", "exit code 7")):
                seen = owner.run(step)
                assert seen.phase is Phase.FAILED
                assert seen.error is not None
                assert cause in seen.error.message
            expect(owner.run("quick"), Phase.SUCCEEDED)

    def test_an_attempt_outlives_its_owner_and_is_adopted(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            handle = owner.executor.launch(owner.attempt("slow"))
            owner.until_begun(handle)
            owner.restart()
            assert owner.executor.adopt(owner.attempt("slow"), seen=0) == handle
            expect(owner.until(handle, *FINAL), Phase.SUCCEEDED)
            assert owner.starts == 1

    def test_an_outcome_waits_for_the_next_owner_which_hears_only_what_is_new(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            handle = owner.executor.launch(owner.attempt("slow"))
            owner.until_begun(handle)
            seen = len(owner.events)
            owner.restart()
            time.sleep(self.slow_s)  # most likely it is over by now; if not, it is waited for
            owner.executor.adopt(owner.attempt("slow"), seen=seen)
            expect(owner.until(handle, *FINAL), Phase.SUCCEEDED)
            assert owner.starts == (seen == 0)
            assert owner.events[0].n == seen

    def test_an_attempt_that_was_never_launched_is_revoked_by_the_next_owner(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            handle = owner.executor.adopt(owner.attempt("quick"), seen=0)
            expect(owner.until(handle, *FINAL), Phase.REVOKED)
            owner.executor.launch(owner.attempt("quick"))
            owner.run("fails")
            assert not any(isinstance(event, AttemptSucceeded) for event in owner.events), "a revoked attempt has run"

    def test_stopping_ends_an_attempt_however_often_it_is_asked(self, tmp_path: Path) -> None:
        with self.owner(tmp_path) as owner:
            handle = owner.executor.launch(owner.attempt("slow"))
            owner.until_begun(handle)
            for _ in range(3):
                owner.executor.cancel(handle, grace=30)
            expect(owner.until(handle, *FINAL), Phase.FAILED)
            owner.executor.cancel(handle, grace=0)  # it is forgotten by now

    def test_killing_needs_no_consent(self, tmp_path: Path) -> None:
        if not self.has_own_process:
            return
        with self.owner(tmp_path) as owner:
            handle = owner.executor.launch(owner.attempt("slow"))
            owner.until_begun(handle)
            owner.executor.cancel(handle, grace=0)
            expect(owner.until(handle, *FINAL), Phase.FAILED)

    def test_descriptors_can_be_waited_for(self, tmp_path: Path) -> None:
        import select

        with self.owner(tmp_path) as owner:
            owner.executor.launch(owner.attempt("quick"))
            select.select(list(owner.executor.descriptors()), [], [], 0)
