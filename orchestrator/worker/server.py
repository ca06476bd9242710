"""The warm location process: imports the module once, then plans runs and starts attempts until its owner is gone."""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from orchestrator._version import __version__
from orchestrator.attempts.channel import AlreadyClaimed, WorkerChannel
from orchestrator.attempts.files import open_channel
from orchestrator.attempts.package import decode_run
from orchestrator.clock import monotonic
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.errors import DefinitionError, ExecutionError, OrchestratorError
from orchestrator.io_managers.memory import forget_run
from orchestrator.limits import hint_for, what_ran_out
from orchestrator.masking import Masker
from orchestrator.model.attempt import AttemptSpec
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.planning.template import config_template
from orchestrator.protocol.messages import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    SPAWN_HINT,
    Answer,
    BeginRun,
    EndRun,
    EvaluatorEnded,
    FindMemoized,
    LaunchAttempt,
    Loaded,
    LoadFailed,
    MakePlan,
    MakeTemplate,
    Refusal,
    ToLocation,
)
from orchestrator.protocol.wire import Channel, Disconnected
from orchestrator.worker.attempt import Wake, fail_attempt, lose_attempt, run_attempt
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.children import Children, in_child
from orchestrator.worker.errors import error_info, is_a, load_traceback, user_frames, way_to
from orchestrator.worker.evaluator_children import EvaluatorChildren
from orchestrator.worker.forking import fork_problem
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.launches import Launches
from orchestrator.worker.loading import Definitions, Target, import_libraries, load
from orchestrator.worker.options_hint import options_hint
from orchestrator.worker.process_exit import StaysAlive, c_library
from orchestrator.worker.refusals import planning_masker, refusal
from orchestrator.worker.runs import BegunRun
from orchestrator.worker.source_files import source_files
from orchestrator.worker.values import memoized_steps

_json = msgspec.json.Encoder()

# An import that takes longer than this hangs. The process then ends by SIGALRM, and its parent says so; if the parent
# is gone by then, at least the process does not stay for ever.
LOAD_TIMEOUT_S = 600


class LocationServer:
    """One location, loaded. Single-threaded, so that it can be forked at any moment."""

    def __init__(self, target: Target, channel: Channel[ToLocation], wake: Wake, side: socket.socket) -> None:
        self._target = target
        self._channel = channel
        self._definitions = Definitions()
        self._runs: dict[str, BegunRun] = {}
        self._likely_next: tuple[PipelineDefinition, Mode] | None = None
        self._selector = selectors.DefaultSelector()
        self._signals_in, self._signals_out = os.pipe()
        self._children = Children(target, wake, self._close_inherited)
        self._wake = wake
        self._evaluators = EvaluatorChildren(target, side, wake, self._close_inherited)
        self._launches = Launches(self._launch, self._give_up)

    def serve(self) -> None:
        """Serves until the parent is gone, then waits for the attempts that still run, to see how they end."""
        self._send(self._load())
        self._watch_children()
        connected = True
        self._selector.register(self._channel, selectors.EVENT_READ)
        self._selector.register(self._evaluators, selectors.EVENT_READ)
        while connected or self._children:
            for key, _ in self._selector.select(self._launches.timeout(monotonic())):
                if key.fileobj is self._channel:
                    connected = self._serve_messages()
                elif key.fileobj is self._evaluators:
                    self._evaluators.start(self._definitions)
                else:
                    os.read(self._signals_in, 4096)
                    self._children.reap()
                    self._launches.retry_now()
                    for pid, code in self._evaluators.reap():
                        self._send(EvaluatorEnded(pid, code))
            if not connected and self._channel in self._selector.get_map():
                self._selector.unregister(self._channel)
                self._selector.unregister(self._evaluators)
                self._evaluators.end()
                self._children.dismiss()
                self._launches.clear()
            self._launches.turn(monotonic())
        gc.unfreeze()  # so that what the module has left open is closed when the interpreter ends

    def _load(self) -> Loaded | LoadFailed:
        signal.alarm(LOAD_TIMEOUT_S)
        try:
            self._definitions = load(self._target)
        except (
            BaseException
        ) as error:  # an import runs user code: SystemExit and KeyboardInterrupt are its failures too
            return replace(_load_failed(self._target, error), files=source_files(self._target.working_dir, error))
        finally:
            signal.alarm(0)
        info = self._definitions.info(self._target.masker)
        # What is here now is shared with every child: the collector must not touch it and so copy it.
        c_library()
        gc.collect()
        gc.freeze()
        files = source_files(self._target.working_dir)
        return Loaded(PROTOCOL, __version__, info, fork_problem(), files, oldest_protocol=OLDEST_PROTOCOL)

    def _watch_children(self) -> None:
        for descriptor in (self._signals_in, self._signals_out):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._signals_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._signals_in, selectors.EVENT_READ)

    def _serve_messages(self) -> bool:
        try:
            messages = self._channel.receive()
        except Disconnected:
            return False
        for message in messages:
            self._serve(message)
        return True

    def _serve(self, message: ToLocation) -> None:
        if isinstance(message, LaunchAttempt):
            self._launches.put(message, monotonic())
        elif isinstance(message, BeginRun):
            run = self._begun(message.run)
            self._runs[run.run_id] = run
        elif isinstance(message, EndRun):
            self._runs.pop(message.run_id, None)
            self._children.dismiss()
            forget_run(message.run_id)
        elif isinstance(message, MakePlan):
            request = msgspec.json.decode(message.plan_request, type=PlanRequest)
            mask = planning_masker(self._target, self._definitions, request)
            self._answer(message.request, lambda: self._plan(request), mask)
            self._warm_up()
        elif isinstance(message, MakeTemplate):
            self._answer(message.request, lambda: self._template(message))
        elif isinstance(message, FindMemoized):
            self._answer(message.request, lambda: self._memoized(message))

    def _answer(self, request: int, make: Callable[[], Any], mask: Masker | None = None) -> None:
        mask = mask or self._target.masker
        try:
            self._send(Answer(request, _json.encode(make())))
        except OrchestratorError as error:
            self._send(refusal(request, error, mask))
        except Exception as error:  # user code runs while planning: evaluating annotations, validators
            ran_out = what_ran_out(error)
            if ran_out is not None:
                message = f"Location {self._target.name!r} cannot answer: {ran_out}."
                self._send(refusal(request, ExecutionError(message, hint=hint_for(error)), mask))
                return
            trace = load_traceback(error)
            self._send(Refusal(request, "DefinitionError", mask(f"Planning failed:\n{trace}")))

    def _plan(self, request: PlanRequest) -> Any:
        pipeline = self._definitions.pipeline(request.pipeline)
        planned = plan_run(pipeline, request, os.environ, isolation=self._target.isolation)
        self._likely_next = (pipeline, pipeline.mode(planned.mode))
        return planned

    def _warm_up(self) -> None:
        """Imports what steps of the run just planned will need, while the parent is busy writing that run down."""
        if self._likely_next is not None:
            import_libraries(*self._likely_next)
            self._likely_next = None

    def _memoized(self, message: FindMemoized) -> Any:
        bound = self._begun(message.run).bound
        found = in_child(lambda: _json.encode(memoized_steps(bound)), self._close_inherited)
        return msgspec.Raw(found)

    def _template(self, message: MakeTemplate) -> str:
        pipeline = self._definitions.pipeline(message.pipeline)
        return self._target.masker(config_template(pipeline, pipeline.mode(message.mode)))

    def _launch(self, message: LaunchAttempt) -> None:
        """Starts an attempt. Raises the system's error when it has no room for another process."""
        spec, channel = message.spec, open_channel(message.channel)
        if channel.is_claimed():
            return  # revoked while it waited
        try:
            run = self._runs[spec.run_id]
            if message.how == "spawn":
                self._children.spawn(run.package_of(spec), channel)
            elif message.how == "here":
                self._run_here(run.bound, spec, channel)
            else:
                bound = run.bound
                self._refuse_unsafe_fork()
                self._children.fork(bound, spec, channel)
                if len(self._runs) == 1 and len(bound.plan.steps) > 1:
                    # A step that follows another need not wait for the fork. Among several runs it would be forked for
                    # one that may not come next, and then throughput counts for more.
                    self._children.get_ahead(bound)
        except AlreadyClaimed:
            pass  # the process that claimed it records the outcome
        except Exception as error:  # the attempt must end with an outcome, whatever keeps it from starting
            if what_ran_out(error) is not None:
                self._children.dismiss()  # a spare process
                raise
            fail_attempt(spec, channel, self._wake, error, self._target.masker)

    def _give_up(self, message: LaunchAttempt, reason: str) -> None:
        lose_attempt(message.spec, open_channel(message.channel), self._wake, reason)

    def _refuse_unsafe_fork(self) -> None:
        problem = fork_problem()
        if problem:
            raise ExecutionError(f"Location {self._target.name!r} cannot be forked safely: {problem}.", hint=SPAWN_HINT)

    def _run_here(self, bound: BoundRun, spec: AttemptSpec, channel: WorkerChannel) -> None:
        self._children.dismiss()  # it would know nothing of what this step does to the module
        interruption = Interruption()
        interruption.install()
        try:
            run_attempt(bound, spec, channel, self._wake, interruption, StaysAlive())
        finally:
            interruption.uninstall()

    def _begun(self, raw: bytes) -> BegunRun:
        return BegunRun(decode_run(raw), self._definitions.pipeline, self._target.masker)

    def _send(self, message: msgspec.Struct) -> None:
        try:
            self._channel.send(message)
            while self._channel.wants_to_send:
                with selectors.DefaultSelector() as writable:
                    writable.register(self._channel, selectors.EVENT_WRITE)
                    writable.select()
                self._channel.flush()
        except Disconnected:
            pass  # noticed, and acted upon, where messages are received

    def _close_inherited(self) -> None:
        """In a child: lets go of the connection, or the parent would not see this process die."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._channel.close()
        self._evaluators.close()
        self._children.close_inherited()
        os.close(self._signals_in)
        os.close(self._signals_out)


def _last_line(error: BaseException) -> str:
    try:
        return traceback.format_exception_only(error)[-1].strip()
    except BaseException:  # the exception's own methods are user code
        return error_info(error).headline()


def _load_failed(target: Target, error: BaseException) -> LoadFailed:
    what = target.file or target.module
    hint = None
    ours = cast("DefinitionError", error) if is_a(error, DefinitionError) else None
    if ours is not None:
        message, hint = ours.message, ours.hint
    elif type(error) is ModuleNotFoundError and not user_frames(error.__traceback__):
        message = f"{what} cannot be imported: {error}."
        hint = f"It is looked for in {target.working_dir} (working_dir) and in the environment of {sys.executable}."
    else:
        message = f"{what} cannot be imported: {_last_line(error)}"
        hint = options_hint(error) or hint_for(error)
    trace = load_traceback(error) if ours is None else way_to(ours)
    mask = target.masker
    return LoadFailed(PROTOCOL, __version__, mask(message), mask(trace), hint and mask(hint))
