"""The world around a daemon, in this process: locations that answer from a table, steps that end when told to.

Everything else is real: the store on disk, journals, locks, the daemon and all its concerns.
"""

import os
from types import SimpleNamespace

import msgspec

from orchestrator.attempts.observation import Observation, Phase
from orchestrator.code_locations.evaluator_pool import Finished
from orchestrator.executors.base import Capabilities
from orchestrator.model import events as ev
from orchestrator.model.location import LocationInfo
from orchestrator.model.tick import Evaluation, Requested
from orchestrator.planning.plan import PlannedRun, PlanRequest, encode_plan
from tests.engine.lives import plan

EXECUTOR = "tests.daemon.world.Steps"
INVALID = "config that does not fit"


class World:
    """What outlives every daemon. `ledger` holds (who asked, for what) -> ids of the runs whose step was begun."""

    def __init__(self, clock):
        self.clock = clock
        self.declared = {}
        self.keys = []
        self.invalid = set()
        self.steps = {}  # handle: "running", "done" or "canceled"
        self.ledger = {}

    def begin(self, attempt):
        """A step's process begins; only once for each attempt, however often it is launched."""
        if attempt.handle in self.steps:
            return
        self.steps[attempt.handle] = "running"
        trigger = attempt.package.run.trigger
        if trigger.kind in ("schedule", "sensor"):
            self.ledger.setdefault((trigger.name, trigger.scheduled_at or trigger.run_key), []).append(attempt.handle)


class Pool:
    """Location processes, as far as the daemon sees them."""

    def __init__(self, world, specs):
        self.world, self.specs = world, specs
        self._processes = {}

    def get(self, name):
        if name not in self._processes:
            schedules, sensors = [], []
            for one in self.world.declared.values():
                (schedules if hasattr(one, "cron") else sensors).append(one)
            info = LocationInfo(schedules=tuple(schedules), sensors=tuple(sensors))
            loaded = SimpleNamespace(info=info, files=())
            self._processes[name] = SimpleNamespace(
                name=name,
                world=self.world,
                loaded=loaded,
                files=(),
                failure=None,
                is_alive=False,
                wants_to_send=False,
                pump=lambda: None,
                pid=os.getpid(),
            )
        return self._processes[name]

    def replace(self, name):
        self._processes.pop(name, None)

    def has_own(self, run_id):
        return False

    def end_run(self, run_id):
        pass

    def close(self):
        pass


class Evaluators:
    """Answers at the next poll: a schedule asks for its occurrence, a sensor for every key there is."""

    def __init__(self, process):
        self.world = process.world
        self._finished, self._known, self._tokens = [], set(), 0

    def evaluate(self, *, timeout, name, scheduled_at=None, **_):
        if scheduled_at is not None:
            return self._answer(Evaluation(requests=(Requested(),)))
        requests = tuple(
            Requested(key, config={"key": key}) for key in self.world.keys if key not in self.world.invalid
        )
        requests += tuple(Requested(key, config={INVALID: key}) for key in sorted(self.world.invalid))
        return self._answer(Evaluation(requests=requests, cursor=str(len(self.world.keys))))

    def make_plans(self, requests, timeout):
        return self._answer([self._plan(msgspec.json.decode(one, type=PlanRequest)) for one in requests])

    def _plan(self, request):
        if INVALID in request.config:
            return {"problem": INVALID}
        planned = PlannedRun(
            encoded_plan=msgspec.Raw(encode_plan(plan(a={}))),
            mode="default",
            config=request.config,
            tags={"db": "one"},
            selection=(),
            executor=EXECUTOR,
        )
        return {"planned": planned}

    def _answer(self, result):
        self._tokens += 1
        self._known.add(self._tokens)
        self._finished.append(Finished(self._tokens, msgspec.json.encode(result)))
        return self._tokens

    def poll(self):
        finished, self._finished = self._finished, []
        self._known -= {one.token for one in finished}
        return finished

    def knows(self, token):
        return token in self._known

    def answer_questions(self, find):
        """Nobody has any."""

    def next_deadline(self):
        return None

    def replace_grown(self, most_mb):
        return 0

    def end_run(self, run_id):
        pass

    def descriptors(self):
        return ()

    def writable(self):
        return ()

    def close(self):
        self._finished, self._known = [], set()


class Steps:
    """The executor: what runs in the world, watched by one daemon."""

    name = EXECUTOR
    capabilities = Capabilities()

    def __init__(self, context):
        self.world = context.pool.world
        self._watched = {}

    def launch(self, attempt):
        self.world.begin(attempt)
        return self.adopt(attempt, 0)

    def adopt(self, attempt, seen):
        self._watched[attempt.handle] = (attempt.package.spec.step, attempt.package.spec.attempt)
        return attempt.handle

    def poll(self):
        seen = {}
        for handle, (step, attempt) in list(self._watched.items()):
            state, at = self.world.steps.get(handle), self.world.clock()
            if state is None:
                seen[handle] = Observation(Phase.REVOKED, reason="it never began")
            elif state == "running":
                continue
            else:
                outcome = ev.AttemptSucceeded if state == "done" else ev.AttemptCanceled
                more = {"outputs": {"result": None}} if state == "done" else {}
                event = outcome(at=at, step=step, attempt=attempt, n=0, seconds=1.0, **more)
                seen[handle] = Observation(Phase.SUCCEEDED if state == "done" else Phase.FAILED, (event,))
            del self._watched[handle]
        return seen

    def cancel(self, handle, grace):
        if self.world.steps.get(handle) == "running":
            self.world.steps[handle] = "canceled"

    def end_run(self, run_id):
        pass

    def close(self):
        pass

    def descriptors(self):
        return ()
