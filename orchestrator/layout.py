"""Where everything lies in the state directory, and how names become paths.

    .orchestrator/                      mode 0700
      format.json                       which layout this is, so that an older program refuses a newer directory
      instance.json                     its id in a cluster, once a step of it ran in one
      state.duckdb  state.lock          the database, and the lock that says who has it open
      daemon.lock  daemon.sock          who is the daemon, and where it is asked
      daemon.json                       since when it runs; its time says when the loop turned last
      daemon.log  daemon.err            what it says, and what it wrote past its log
      admission.lock                    who is deciding at this moment which run may start
      slots/<run_id>                    a run that counts in tag limits while it is driven or a step of it is alive
      waiting/<run_id>                  a foreground run that waits for a slot; locked by its command
      waiting/queue.json                the queued runs that are next in line for a slot, as the daemon sees it
      deleted.jsonl                       which runs and keys were deleted, for when an older backup is restored
      pending/<run_id>                  a run whose journal may hold lines that the database lacks
      runs/<run_id>/
        owner.lock                      who drives this run
        run.json                        the run as requested, with its frozen plan
        journal.jsonl                   every event of the run
        cancel                          exists when the run was asked to stop
        followed                        its time says when a process last watched the run as it goes
        steps/<step_key>/<attempt>/     claim  alive.lock  events.jsonl  exit.json  stdout.log  stderr.log
                                        order.marks
      storage/                          default home of the filesystem IO manager
      backups/

Only paths and names: this module opens and creates nothing.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

MARKS = "order.marks"


class AttemptDir(Struct, frozen=True):
    """The files of one attempt: the only way a step process and the run's owner talk."""

    path: Path

    @property
    def claim(self) -> Path:
        """Created exactly once: by the step process when it begins, or by an owner that revokes the attempt."""
        return self.path / "claim"

    @property
    def alive(self) -> Path:
        """Locked by the step process from before its claim until it ends."""
        return self.path / "alive.lock"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def exit(self) -> Path:
        """Written by the step's parent when the process ended without an outcome."""
        return self.path / "exit.json"

    @property
    def stdout(self) -> Path:
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        return self.path / "stderr.log"

    @property
    def marks(self) -> Path:
        """The order in which the attempt wrote to its log files, where it wrote to more than one."""
        return self.path / MARKS


class RunDir(Struct, frozen=True):
    """The files of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def owner_lock(self) -> Path:
        return self.path / "owner.lock"

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def cancel(self) -> Path:
        return self.path / "cancel"

    @property
    def followed(self) -> Path:
        return self.path / "followed"

    @property
    def steps(self) -> Path:
        return self.path / "steps"

    def attempt(self, step: str, attempt: int) -> AttemptDir:
        return AttemptDir(self.steps / step / str(attempt))


class RunsDir(Struct, frozen=True):
    """What the runs of one state directory have in common. `path`: the state directory."""

    path: Path

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def pending(self) -> Path:
        return self.path / "pending"

    @property
    def slots(self) -> Path:
        return self.path / "slots"

    @property
    def waiting(self) -> Path:
        return self.path / "waiting"

    @property
    def queue_claims(self) -> Path:
        return self.waiting / "queue.json"

    @property
    def admission_lock(self) -> Path:
        return self.path / "admission.lock"

    @property
    def deleted(self) -> Path:
        return self.path / "deleted.jsonl"

    def run(self, run_id: str) -> RunDir:
        return RunDir(self.runs / run_id)

    def unfinished(self, run_id: str) -> Path:
        """Where the files of a run are written before the run exists."""
        return self.runs / f".{run_id}.tmp"

    def pending_marker(self, run_id: str) -> Path:
        """The mark that says that the journal may hold lines which the database lacks."""
        return self.pending / run_id
