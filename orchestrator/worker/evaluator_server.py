"""A process that evaluates schedules and sensors, one request at a time, until its connection closes.

It is forked from the warm location process, or, where forking is unsafe, a fresh interpreter:
`python -m orchestrator.worker.evaluator_server TARGET SOCKET`. It may be killed at any moment: nothing depends on it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator._version import __version__
from orchestrator.definitions.automations import AutomationDefinition
from orchestrator.errors import NotFound, OrchestratorError
from orchestrator.model.asset import NumberedMaterialization
from orchestrator.model.automation import automation_id
from orchestrator.model.location import LocationInfo
from orchestrator.model.tick import Evaluation
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.protocol.messages import (
    PROTOCOL,
    Answer,
    Evaluate,
    EvaluateMany,
    FindAsset,
    FoundAsset,
    Loaded,
    LoadFailed,
    MakePlans,
    Refusal,
    ToLocation,
)
from orchestrator.protocol.wire import Channel, Disconnected
from orchestrator.worker.debugger import refuse_breakpoints
from orchestrator.worker.errors import error_info, load_traceback
from orchestrator.worker.evaluate import encoded, evaluate, evaluate_many, masked, with_alerts
from orchestrator.worker.library_logs import PrintingHandler, library_logs
from orchestrator.worker.loading import Definitions, Target, load
from orchestrator.worker.output import flush_streams, install_streams
from orchestrator.worker.refusals import planning_masker, refusal

# What is kept of what an evaluation printed.
_LONGEST_OUTPUT = 2000


class EvaluatorServer:
    """Answers questions until its channel closes."""

    def __init__(self, definitions: Definitions, target: Target, channel: Channel[ToLocation]) -> None:
        self._definitions = definitions
        self._target = target
        self._channel = channel
        self._waiting: list[ToLocation] = []
        self._output = _capture_output()

    def serve(self) -> None:
        with suppress(Disconnected), library_logs(PrintingHandler()):
            self._send(Loaded(PROTOCOL, __version__, LocationInfo(), pid=os.getpid()))
            while True:
                self._serve(self._next())

    def _serve(self, message: ToLocation) -> None:
        if isinstance(message, Evaluate):
            self._answer(message.request, lambda: self._evaluate(message))
        elif isinstance(message, EvaluateMany):
            self._answer(message.request, lambda: self._evaluate_many(message))
        elif isinstance(message, MakePlans):
            self._answer(message.request, lambda: [self._plan(raw) for raw in message.plan_requests])

    def _answer(self, request: int, make: Callable[[], Any]) -> None:
        try:
            self._send(Answer(request, encoded(make())))
        except OrchestratorError as error:
            self._send(refusal(request, error, self._target.masker))
        except (TypeError, ValueError, OverflowError) as error:
            # What user code put into config or tags cannot be written down.
            self._send(
                Refusal(request, "DefinitionError", self._target.masker(f"The answer cannot be written down: {error}"))
            )

    def _evaluate(self, question: Evaluate) -> Evaluation:
        definition = self._definition(question.name)
        os.ftruncate(self._output, 0)
        os.lseek(self._output, 0, os.SEEK_SET)
        evaluation = evaluate(definition, question, self._find)
        if question.runs:
            evaluation = with_alerts(evaluation, automation_id(self._target.name, question.name), question.runs)
        return masked(msgspec.structs.replace(evaluation, output=self._printed()), self._target.masker)

    def _evaluate_many(self, question: EvaluateMany) -> msgspec.Raw:
        os.ftruncate(self._output, 0)
        return msgspec.Raw(evaluate_many(self._definition(question.name), question, self._target.masker))

    def _definition(self, name: str) -> AutomationDefinition:
        found = self._definitions.automations.get(name)
        if found is None:
            raise NotFound.named("schedule or sensor", name, self._definitions.automations)
        return found

    def _plan(self, raw: bytes) -> dict[str, Any]:
        request = msgspec.json.decode(raw, type=PlanRequest)
        mask = planning_masker(self._target, self._definitions, request)
        try:
            pipeline = self._definitions.pipeline(request.pipeline)
            return {"planned": plan_run(pipeline, request, os.environ, isolation=self._target.isolation)}
        except OrchestratorError as error:
            return {"problem": mask(str(error))}
        except Exception as error:  # user code runs while planning: validators, annotations
            return {"problem": mask(f"Planning failed:\n{load_traceback(error)}")}

    def _find(self, asset: tuple[str, ...], after: int, limit: int) -> Iterable[NumberedMaterialization]:
        self._send(FindAsset(asset, after, limit))
        while True:
            message = self._next()
            if isinstance(message, FoundAsset):
                return message.materializations

    def _printed(self) -> str:
        flush_streams()
        size = os.fstat(self._output).st_size
        data = os.pread(self._output, 4 * _LONGEST_OUTPUT, max(0, size - 4 * _LONGEST_OUTPUT))
        # Before anything is cut off: half a secret would not be found.
        return self._target.masker(data.decode(errors="replace"))[-_LONGEST_OUTPUT:]

    def _next(self) -> ToLocation:
        while not self._waiting:
            self._wait(select.POLLIN)
            self._waiting += self._channel.receive()
        return self._waiting.pop(0)

    def _send(self, message: msgspec.Struct) -> None:
        self._channel.send(message)
        while self._channel.wants_to_send:
            self._wait(select.POLLOUT)
            self._channel.flush()

    def _wait(self, what: int) -> None:
        poll = select.poll()
        poll.register(self._channel, what)
        poll.poll()


def _capture_output() -> int:
    """Sends what is printed, by C libraries and children as well, to a file without a name; its descriptor."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    with tempfile.TemporaryFile("ab", buffering=0) as file:
        output = os.dup(file.fileno())
    for number in (1, 2):
        os.dup2(output, number)
    return output


def main() -> None:
    """Loads the location, and serves."""
    target = Target(**json.loads(sys.argv[1]))
    connection = socket.socket(fileno=int(sys.argv[2]))
    os.set_inheritable(connection.fileno(), False)
    channel: Channel[ToLocation] = Channel(connection, ToLocation)
    install_streams()
    refuse_breakpoints()
    sys.argv = [target.file or str(target.module)]
    try:
        definitions = load(target)
    except BaseException as error:  # an import runs user code
        said, trace = error_info(error).headline(), load_traceback(error)
        channel.send(LoadFailed(PROTOCOL, __version__, target.masker(said), target.masker(trace)))
        return
    EvaluatorServer(definitions, target, channel).serve()


if __name__ == "__main__":
    main()
    os._exit(0)
