"""A location process seen from its parent: starting it, asking it, noticing that it has died. Never imports user code,
and decides nothing: who needs which process is known to `pool`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct, field

from orchestrator._version import __version__
from orchestrator.attempts.exit_status import how_it_ended
from orchestrator.attempts.package import AttemptPackage, RunPackage, encode_run
from orchestrator.distribution import install_command
from orchestrator.errors import (
    HOW_TO_SET,
    ConfigError,
    DefinitionError,
    ExecutionError,
    LocationBroken,
    LocationDied,
    OrchestratorError,
    error_of_kind,
)
from orchestrator.limits import hint_for, what_ran_out
from orchestrator.masking import Masker
from orchestrator.outliving import OutlivingProcess
from orchestrator.protocol.messages import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    Answer,
    BeginRun,
    EndRun,
    EvaluatorEnded,
    FindMemoized,
    FromLocation,
    LaunchAttempt,
    Loaded,
    LoadFailed,
    MakePlan,
    MakeTemplate,
    Refusal,
    is_compatible,
)
from orchestrator.protocol.wire import Channel, Disconnected, Garbled

# A process that takes nothing from its socket for this long is busy; what waits is sent later.
_READS_WITHIN_S = 0.05
# How long a process that can be talked to no more may take to end.
_DYING_S = 2.0
_LAST_WORDS = 4000  # characters of a dead process's output that go into the error


_KEPT_ENDINGS = 64


class LocationSpec(Struct, frozen=True):
    """How to start a location: from the workspace file, with paths made absolute and the environment filled in."""

    name: str
    working_dir: Path
    module: str | None = None
    file: str | None = None
    python: str = sys.executable
    isolation: str = "fork"
    environment: Mapping[str, str] = field(default_factory=dict)
    max_growth_mb: int = 512
    max_log_mb: int = 256
    secrets: tuple[str, ...] = ()  # which of the variables come from ours
    missing: tuple[str, ...] = ()  # what keeps it from being started: variables that are not set

    def target(self) -> str:
        """The command-line argument that tells the process what it is."""
        return json.dumps(
            {
                "name": self.name,
                "working_dir": str(self.working_dir),
                "module": self.module,
                "file": self.file,
                "isolation": self.isolation,
                "secrets": self.secrets,
            }
        )


class LocationProcess:
    """One warm process with a location's module loaded. Loading continues in the background until a request comes."""

    def __init__(self, spec: LocationSpec) -> None:
        if spec.missing:
            raise ConfigError(f"Location {spec.name!r} cannot be started:", details=spec.missing, hint=HOW_TO_SET)
        self.spec = spec
        self.loaded: Loaded | None = None
        self.files: tuple[str, ...] = ()  # that its module was made of, even if it failed to load
        self._failure: OrchestratorError | None = None
        self._answers: dict[int, bytes | OrchestratorError] = {}
        self._endings: dict[int, int] = {}
        self._begun: set[str] = set()  # the runs that it knows
        self._next_request = 0
        try:
            self._open()
        except OSError as error:
            ran_out = what_ran_out(error)
            kind = ExecutionError if ran_out is None else LocationDied  # the next try may find room
            raise kind(
                f"Location {spec.name!r} cannot be started: {ran_out or error.strerror}.", hint=hint_for(error)
            ) from error

    def _open(self) -> None:
        """Starts the process. Raises OSError when the machine has no room for it, and leaves nothing open then."""
        with ExitStack() as ours, ExitStack() as theirs:
            self._output: IO[bytes] = ours.enter_context(tempfile.TemporaryFile())
            connection, their_connection = socket.socketpair()
            ours.enter_context(connection)
            theirs.enter_context(their_connection)
            self._side, side = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            ours.enter_context(self._side)
            theirs.enter_context(side)
            wake, wake_end = os.pipe()
            theirs.callback(os.close, wake_end)
            os.set_blocking(wake, False)
            # An object, not the number: when it is closed twice, the number may belong to another file by then.
            self._wake = ours.enter_context(open(wake, "rb", buffering=0))  # noqa: PTH123 (a descriptor)
            self._process = self._start(their_connection, wake_end, side)
            self._channel: Channel[FromLocation] = Channel(connection, FromLocation)
            ours.pop_all()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked anything; False once it has died or failed to load."""
        return self._failure is None

    @property
    def failure(self) -> OrchestratorError | None:
        """Why it cannot be asked anything any more."""
        return self._failure

    def fileno(self) -> int:
        return self._channel.fileno()

    @property
    def wake(self) -> int:
        """The pipe that hints come through."""
        return self._wake.fileno()

    @property
    def wants_to_send(self) -> bool:
        return self._channel.wants_to_send

    # --- asking ---

    def make_plan(self, request: bytes) -> int:
        """Asks for a plan, with a `PlanRequest` as JSON; the number to fetch the `answer` by. Raises LocationDied."""
        return self._ask(MakePlan(self._number(), request))

    def make_template(self, pipeline: str, mode: str | None) -> int:
        """Likewise for a configuration template."""
        return self._ask(MakeTemplate(self._number(), pipeline, mode))

    def find_memoized(self, run: RunPackage) -> int:
        """Likewise for the steps of a run whose outputs are stored in its version."""
        return self._ask(FindMemoized(self._number(), encode_run(run)))

    def launch(self, package: AttemptPackage, channel: str, how: str) -> None:
        """Has the attempt started, over the channel at that address. Raises LocationDied."""
        if package.run.run_id not in self._begun:
            self._send(BeginRun(encode_run(package.run)))
            self._begun.add(package.run.run_id)
            self._send_while_read()  # a large plan does not fit into the socket
        self._send(LaunchAttempt(channel, package.spec, how))

    def ending_of(self, evaluator: int) -> int | None:
        """How an evaluator that is gone has ended: its exit code, negative for a signal; None while that is unknown."""
        self.pump()
        return self._endings.pop(evaluator, None)

    def start_evaluator(self, connection: socket.socket) -> None:
        """Has an evaluator started that answers on this connection. If it cannot be, the connection just closes."""
        try:
            socket.send_fds(self._side, [b"e"], [connection.fileno()])
        except OSError:
            pass  # the process is gone, or too busy to take it: the connection closes, and another one is started

    def end_run(self, run_id: str) -> None:
        """Lets it forget a run; of no consequence when it is gone."""
        if self.is_alive and run_id in self._begun:
            self._begun.discard(run_id)
            self._send(EndRun(run_id))

    # --- listening ---

    def pump(self) -> None:
        """Takes in what has arrived and sends what is waiting, without blocking."""
        if self._failure is not None:
            return
        try:
            self._channel.flush()
            for message in self._channel.receive():
                self._take(message)
        except Garbled as error:
            self._failure = self._failure or self._end_garbled(error)
        except Disconnected:
            self._failure = self._failure or self._death()

    def answer(self, request: int) -> bytes | None:
        """The result of a request, once; None while it is not there. Raises what the location refused it with."""
        if request in self._answers:
            result = self._answers.pop(request)
            if isinstance(result, OrchestratorError):
                raise result
            return result
        if self._failure is not None:
            raise self._failure
        return None

    def check(self) -> None:
        """Raises LocationBroken if the module did not import, LocationDied if the process is gone."""
        if self._failure is not None:
            raise self._failure

    # --- ending ---

    def close(self) -> None:
        """Lets the process go. What it has started goes on, and it stays until that is over to see how it ends."""
        self._channel.close()
        self._side.close()
        self._wake.close()
        if self.loaded is None:
            self._kill()  # it may be anywhere in an import, and would not notice that we are gone
        self._output.close()

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, and is reaped by having been asked."""
        return self._process.poll() is not None

    def _kill(self) -> None:
        if self.has_ended:
            return  # its number may be another process's by now
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._process.wait()

    def _start(self, theirs: socket.socket, wake_end: int, side: socket.socket) -> subprocess.Popen[bytes]:
        # -P: a file called orchestrator.py in the user's directory must not take our place.
        arguments = [
            "-P",
            "-m",
            "orchestrator.worker",
            self.spec.target(),
            str(theirs.fileno()),
            str(wake_end),
            str(side.fileno()),
        ]
        try:
            return OutlivingProcess(
                [self.spec.python, *arguments],
                cwd=self.spec.working_dir,
                env={**os.environ, **self.spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(theirs.fileno(), wake_end, side.fileno()),
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise ExecutionError(
                f"Location {self.spec.name!r} cannot be started: {error}.",
                hint="Correct `python:` or `working_dir:` in the workspace file.",
            ) from error

    def _number(self) -> int:
        self._next_request += 1
        return self._next_request

    def _ask(self, message: MakePlan | MakeTemplate | FindMemoized) -> int:
        self._send(message)
        return message.request

    def _send(self, message: msgspec.Struct) -> None:
        self.check()
        try:
            self._channel.send(message)
        except Disconnected:
            self._failure = self._death()
            raise self._failure from None

    def _send_while_read(self) -> None:
        """Sends what waits as long as the process keeps reading; the rest is sent by `pump`."""
        with selectors.DefaultSelector() as writable:
            writable.register(self._channel, selectors.EVENT_WRITE)
            while self._failure is None and self._channel.wants_to_send and writable.select(_READS_WITHIN_S):
                self.pump()

    def _take(self, message: FromLocation) -> None:
        if isinstance(message, (Loaded, LoadFailed)) and not is_compatible(message.protocol, message.oldest_protocol):
            self._failure = ExecutionError(
                f"Location {self.name!r} runs orchestrator {message.version}, whose protocol {message.protocol} does"
                f" not fit that of {__version__} ({OLDEST_PROTOCOL} to {PROTOCOL}).",
                hint=f"Install the same version there: {install_command(self.spec.python)}",
            )
        elif isinstance(message, Loaded):
            self.loaded = message
            self.files = message.files
        elif isinstance(message, LoadFailed):
            self.files = message.files
            what = f"Location {self.name!r} is broken: {message.message}"
            self._failure = LocationBroken(what, traceback=message.traceback, hint=message.hint)
        elif isinstance(message, EvaluatorEnded):
            self._endings[message.pid] = message.code
            if len(self._endings) > _KEPT_ENDINGS:  # most of them were released and are not asked for
                del self._endings[next(iter(self._endings))]
        elif isinstance(message, Answer):
            self._answers[message.request] = message.result
        elif isinstance(message, Refusal):
            self._answers[message.request] = error_of_kind(
                message.kind, message.message, message.hint, message.details, DefinitionError
            )

    def _end_garbled(self, error: Garbled) -> OrchestratorError:
        """Ends a process whose messages make no sense: user code can write to every descriptor of its process."""
        self._kill()
        said = self._last_words()
        return LocationDied(
            f"The process of location {self.name!r} was ended: {error}.",
            hint="Its module, or a library, writes to file descriptors that are not its own, or closes them.",
            details=said.splitlines()[-10:] if said else (),
        )

    def _death(self) -> OrchestratorError:
        try:
            code = self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:  # it closed its connection, and lives: user code closes what is not its own
            self._kill()
            code = self._process.wait()
        said = self._last_words()
        if "No module named orchestrator.worker" in said:
            return ExecutionError(
                f"Location {self.name!r}: the environment of {self.spec.python} has an older version of orchestrator.",
                hint=f"Install the same version there: {install_command(self.spec.python)}",
            )
        if "No module named 'orchestrator'" in said or "No module named orchestrator" in said:
            return DefinitionError(
                f"Location {self.name!r}: orchestrator is not installed in the environment of {self.spec.python}.",
                hint=f"Run: {install_command(self.spec.python)}",
            )
        how = how_it_ended(code, guess=False)
        if code == -signal.SIGALRM and self.loaded is None:
            how = "took too long to import its module, and was ended"
        when = "while its module was imported" if self.loaded is None else "by itself"
        return LocationDied(
            f"The process of location {self.name!r} {how} ({when}).",
            details=said.splitlines()[-10:] if said else (),
        )

    def _last_words(self) -> str:
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - 4 * _LAST_WORDS))
        said = self._output.read().decode(errors="replace").strip()
        # Before anything is cut off: half a secret would not be found.
        return Masker(self.spec.environment[name] for name in self.spec.secrets)(said)[-_LAST_WORDS:]
