"""The commands of Slurm, and what is done with them in one turn. Nothing here is about runs: jobs go by names."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct, field

from orchestrator.executors.command import AttemptCommand

# The machine's fault: such an attempt is lost, and made again at no cost to the step.
NOT_THE_STEPS = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"}
# A state that is not among these is taken for one of a job that lives: that changes nothing.
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", *NOT_THE_STEPS}


class BatchError(Exception):
    """A command of the batch system that failed, or gave no answer."""


class Job(Struct, frozen=True):
    """What the batch system says of a job. `exit` is its exit code, or the negative number of a signal."""

    state: str
    waits_for: str = ""
    exit: int = 0

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class Slurm(Struct, frozen=True):
    """The commands of the batch system. Each may take `patience_s` seconds, and raises BatchError."""

    patience_s: float = 30.0

    def submit(self, name: str, command: AttemptCommand, options: Iterable[str]) -> None:
        """Submits a job. A cluster that repeats jobs by itself must not: the owner of the run decides that."""
        script = f"#!/bin/sh\nexec {shlex.join(command.arguments)} <<'PACKAGE'\n{command.package.decode()}\nPACKAGE\n"
        errors = str(command.errors).replace("%", "%%")  # a percent sign is special there
        files = f"--chdir={command.directory}", "--output=/dev/null", f"--error={errors}", "--open-mode=append"
        arguments = "--parsable", "--no-requeue", "--export=ALL", f"--job-name={name}", *files, *options
        self._run("sbatch", *arguments, script=script, environment=command.environment)

    def find(self, names: Iterable[str]) -> dict[str, Job]:
        """The jobs of these names that it has or had. The queue first: what ends in between is in the history then."""
        wanted, jobs = f"--name={','.join(names)}", {}
        for line in self._run("squeue", "--me", "--noheader", wanted, "--format=%j|%T|%r"):
            name, state, reason = line.split("|", 2)
            jobs[name] = Job(state, "" if reason == "None" else reason)
        queued = set(jobs)
        which = "--allocations", "--starttime=now-30days", wanted
        for line in self._run("sacct", "--noheader", "--parsable2", *which, "--format=JobName,State,ExitCode"):
            name, state, ended = line.split("|")
            code, signal = map(int, ended.split(":"))
            # Of two jobs of an attempt, the one that found it claimed has COMPLETED and says nothing.
            if name not in queued and jobs.get(name, Job("COMPLETED")).state == "COMPLETED":
                jobs[name] = Job(state.split()[0], exit=-signal or code)
        return jobs

    def ask_to_stop(self, name: str) -> None:
        self._run("scancel", f"--name={name}", "--batch", "--signal=TERM")

    def end(self, name: str) -> None:
        self._run("scancel", f"--name={name}")

    def _run(self, *command: str, script: str = "", environment: Mapping[str, str] | None = None) -> list[str]:
        try:
            done = subprocess.run(
                command, input=script, env=environment, capture_output=True, text=True, timeout=self.patience_s
            )
        except subprocess.TimeoutExpired:
            raise BatchError(f"{command[0]} gave no answer within {self.patience_s:g} seconds") from None
        except OSError as error:
            raise BatchError(f"{command[0]}: {error.strerror}") from None
        if done.returncode != 0:
            raise BatchError((done.stderr.strip() or f"{command[0]} failed").splitlines()[-1])
        return done.stdout.splitlines()


class Order(Struct, frozen=True):
    """What the thread is to do about a job, once it knows whether it is there."""

    what: Literal["look", "submit", "ask to stop", "end"] = "look"
    command: AttemptCommand | None = None
    options: tuple[str, ...] = ()


class Answer(Struct):
    """The jobs that were found, before orders were carried out, and what became of those."""

    jobs: dict[str, Job]
    problems: dict[str, str] = field(default_factory=dict)


def carry_out(system: Slurm, orders: Mapping[str, Order]) -> Answer:
    """Looks all jobs up, then does what is to be done: a job that is there is not submitted again."""
    answer = Answer(system.find(orders))
    for name, order in orders.items():
        job = answer.jobs.get(name)
        lives = job is not None and not job.is_over
        try:
            if order.what == "submit" and job is None and order.command is not None:
                system.submit(name, order.command, order.options)
            elif order.what == "ask to stop" and lives:
                system.ask_to_stop(name)
            elif order.what == "end" and lives:
                system.end(name)
        except BatchError as error:
            answer.problems[name] = str(error)
    return answer
