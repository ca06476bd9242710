"""Short ways of writing down plans and of living through runs, without a process, a file or a clock."""

from datetime import UTC, datetime, timedelta

from orchestrator.definitions.retry import RetryPolicy
from orchestrator.engine.actions import Finish, Launch, Record, Stop
from orchestrator.engine.next_action import next_action
from orchestrator.engine.progress import RunProgress
from orchestrator.model import events as ev
from orchestrator.model.error_info import ErrorInfo
from orchestrator.planning.plan import Plan, PlannedInput, PlannedOutput, PlannedStep, Source, template_key

START = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = ev.Owner("foreground", 1, "here")


def source(text, steps):
    """`a` or `a.output`, of a step that was written before."""
    name, _, output = text.partition(".")
    return Source(template_key(name, len(steps[name].scope)), output or "result")


def plan(**written):
    """A plan from `step=options`. Options: one (input source), many (fan-in), all (collected), after, over (the
    dynamic output mapped over), and any field of PlannedStep. `dynamic` and `optional` name outputs."""
    steps = {}
    for name, options in written.items():
        steps[name] = planned(name, dict(options), steps)
    return Plan(pipeline="p", mode="default", steps=tuple(steps.values()))


def planned(name, options, steps):
    over = options.pop("over", None)
    scope = (*steps[over.partition(".")[0]].scope, over) if over else options.pop("scope", ())
    inputs = []
    for form, key in (("one", "one"), ("list", "many"), ("collect", "all")):
        given = options.pop(key, ())
        given = (given,) if isinstance(given, str) else given
        if form == "list" and given:
            inputs.append(PlannedInput("many", "list", tuple(source(item, steps) for item in given)))
        else:
            inputs += [PlannedInput(f"{key}_{i}", form, (source(item, steps),)) for i, item in enumerate(given)]
    after = tuple((source(item, steps), False) for item in options.pop("after", ()))
    dynamic, optional = options.pop("dynamic", ()), options.pop("optional", ())
    names = options.pop("outputs", ("result",))
    outputs = tuple(
        PlannedOutput(output, "io_manager", optional=output in optional, dynamic=output in dynamic) for output in names
    )
    return PlannedStep(
        key=template_key(name, len(scope)),
        node=name,
        scope=scope,
        inputs=tuple(inputs),
        after=after,
        outputs=outputs,
        **options,
    )


def fails(max_retries=0, **more):
    return RetryPolicy(max_retries=max_retries, **more)


class Life:
    """A run that is driven by hand: what the engine says is done, what happened is told."""

    def __init__(self, plan, room=100):
        self.run = RunProgress(plan, "run")
        self.now = START
        self.room = room
        self.journal = []
        self.told = []  # what the engine said, in words
        self.tell(ev.RunStarted(at=self.now, owner=OWNER))

    def tell(self, *events):
        for event in events:
            self.journal.append(event)
            self.run.apply(event)
        return self

    def settle(self):
        """Does everything the engine says until it says to wait."""
        while (action := self.ask()) is not None:
            self.carry_out(action)
        return self

    def ask(self):
        return next_action(self.run, now=self.now, room=self.room - len(self.run.in_flight), random=lambda: 0.5)

    def carry_out(self, action):
        match action:
            case Record(event):
                self.told.append(f"{ev.kind_of(event)} {event.step}")
                self.tell(event)
            case Launch(spec):
                self.told.append(f"launch {spec.step}/{spec.attempt}")
                launched = ev.AttemptLaunched(at=self.now, step=spec.step, attempt=spec.attempt, executor="test")
                started = ev.AttemptStarted(at=self.now, step=spec.step, attempt=spec.attempt, n=0, pid=1, host="here")
                self.tell(launched, started)
            case Stop(step, attempt, why):
                self.told.append(f"stop {step}/{attempt} {why}")
                self.tell(ev.AttemptStopRequested(at=self.now, step=step, attempt=attempt, why=why))
            case Finish(status, reason):
                self.told.append(f"finish {status}")
                self.tell(ev.RunFinished(at=self.now, status=status, reason=reason))

    def succeed(self, key, **outputs):
        """The step's attempt succeeds with these outputs (dynamic ones as lists of keys); by default all plain ones."""
        step = self.run.network.steps[key]
        produced = {name: tuple(keys) if keys is not None else None for name, keys in outputs.items()}
        if not outputs:
            produced = {output.name: None for output in step.planned.outputs}
        return self.outcome(key, ev.AttemptSucceeded, outputs=produced)

    def produce(self, key, produced):
        return self.outcome(key, ev.AttemptSucceeded, outputs=produced)

    def fail(self, key, ask=None, allow_retries=True):
        error = ErrorInfo("ValueError", f"{key} went wrong")
        return self.outcome(key, ev.AttemptFailed, error=error, ask=ask, allow_retries=allow_retries)

    def lose(self, key):
        return self.tell(ev.AttemptLost(at=self.now, step=key, attempt=self.attempt(key), reason="gone"))

    def die(self, key):
        error = ErrorInfo("ProcessKilled", "killed", signal=9)
        return self.tell(ev.AttemptDied(at=self.now, step=key, attempt=self.attempt(key), error=error))

    def end_as_asked(self, key):
        return self.outcome(key, ev.AttemptCanceled)

    def outcome(self, key, kind, **fields):
        return self.tell(kind(at=self.now, step=key, attempt=self.attempt(key), n=1, seconds=1.0, **fields))

    def attempt(self, key):
        return self.run.network.steps[key].attempt

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        return self

    def states(self):
        return {key: str(step.state) for key, step in self.run.network.steps.items()}
