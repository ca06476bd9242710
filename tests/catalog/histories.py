"""Random histories of runs: whatever the engine and the world may do, in the order in which a journal has it."""

from datetime import timedelta

import orchestrator.model.events as ev
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.states import TERMINAL_RUN_STATES
from tests.engine.lives import OWNER, Life, fails, plan

PLANS = (
    lambda: plan(a={}, b={"one": "a"}, c={"one": "b"}),
    lambda: plan(a={"retry": fails(2)}, b={"one": "a", "retry": fails(1)}, c={"many": ("a", "b")}),
    lambda: plan(a={"dynamic": ("result",)}, b={"over": "a.result", "one": "a", "retry": fails(1)}, c={"all": "b"}),
    lambda: plan(a={"outputs": ("x", "y"), "optional": ("y",)}, b={"one": "a.x"}, c={"one": "a.y"}, d={"one": "c"}),
    lambda: plan(a={"hooks": ("notify",), "timeout": 5.0}, b={"after": "a"}, c={}),
)
# A made-up world can keep the engine asking for the same stop without end: no process would obey it here.
MOST_ACTIONS = 20
ERRORS = ("ValueError", "it is wrong\nand more"), ("KeyError", "x"), ("Odd", "ü\u2028")


class History:
    """One run that lives through a random history. `lines` is its journal; some of them are no events."""

    def __init__(self, random):
        self.random = random
        self.life = Life(random.choice(PLANS)(), room=random.randint(1, 4))
        self.garbage_at = set()
        if random.random() < 0.1:
            self.reuse()
        for _ in range(random.randint(0, 40)):
            if self.life.run.is_finished:
                break
            self.something()

    @property
    def lines(self):
        lines = [ev.encode_line(event)[:-1] for event in self.life.journal]
        for number in range(len(lines)):
            if self.random.random() < 0.01:
                lines.insert(number, self.random.choice((b"", b"{", b"\xff garbage", b"\0\0")))
        return lines

    def something(self):
        life = self.life
        life.wait(self.random.choice((0, 0.000001, 0.5, 3, 60)))
        if life.run.interrupted:
            if self.random.random() < 0.3:
                life.tell(ev.RunResumed(at=life.now, owner=OWNER))
            return
        for _ in range(MOST_ACTIONS):
            if (action := life.ask()) is None:
                break
            life.carry_out(action)
        if life.run.is_finished:
            return
        draw = self.random.random()
        if draw < 0.03:
            life.tell(ev.RunCancelRequested(at=life.now, by="a test"))
        elif draw < 0.06 and life.run.status not in TERMINAL_RUN_STATES:
            life.tell(ev.RunInterrupted(at=life.now, reason="its owner is gone"))
            if self.random.random() < 0.8:
                life.wait(1).tell(ev.RunResumed(at=life.now, owner=OWNER))
            return
        elif life.run.in_flight:
            self.end_one(self.random.choice(sorted(life.run.in_flight)))

    def end_one(self, key):
        life, random = self.life, self.random
        self.say(key)
        common = {"at": life.now, "step": key, "attempt": life.attempt(key)}
        took = {"n": 9, "seconds": round(random.uniform(0, 100), 6)}
        kind, message = random.choice(ERRORS)
        error = ErrorInfo(kind, message)
        draw = random.random()
        if draw < 0.5:
            life.tell(ev.AttemptSucceeded(**common, **took, outputs=self.produced(key)))
        elif draw < 0.65:
            life.tell(ev.AttemptFailed(**common, **took, error=error, allow_retries=random.random() < 0.8))
        elif draw < 0.75:
            life.tell(ev.AttemptDied(**common, error=error))
        elif draw < 0.85:
            life.tell(ev.AttemptLost(**common, reason="gone"))
        elif draw < 0.92 and life.run.network.steps[key].stop is None and not life.run.plan.by_key.get("a").timeout:
            life.tell(ev.AttemptRevoked(**common, reason="it never began"))
        elif life.run.network.steps[key].stop is not None:
            life.tell(ev.AttemptCanceled(**common, **took))

    def produced(self, key):
        produced = {}
        for output in self.life.run.network.steps[key].planned.outputs:
            if output.dynamic:
                produced[output.name] = tuple("xyz"[: self.random.randint(0, 3)])
            elif not output.optional or self.random.random() < 0.5:
                produced[output.name] = None
        return produced

    def say(self, key):
        life, random = self.life, self.random
        common = {"at": life.now, "step": key, "attempt": life.attempt(key)}
        if random.random() < 0.3:
            life.tell(
                ev.AssetMaterialized(
                    **common,
                    n=1,
                    asset=random.choice((("a",), ("a", "b"), ("ü",))),
                    description=random.choice((None, "words")),
                    metadata=random.choice(({}, {"rows": 3, "x": [None, 1.5, {"kind": "float", "value": "nan"}]})),
                    partition=random.choice((None, "2026-01-01")),
                    tags=random.choice(({}, {"k": "v"})),
                )
            )
        if random.random() < 0.3:
            life.tell(ev.LogEmitted(**common, n=2, level="INFO", message='hello\n\t"ü'))
        if random.random() < 0.05:
            life.tell(ev.EventUnreadable(**common, n=3, reason="no JSON", line="{"))

    def reuse(self):
        life = self.life
        key = next(iter(life.run.network.steps))
        if not life.run.network.steps[key].planned.outputs[0].dynamic:
            outputs = {output.name: None for output in life.run.network.steps[key].planned.outputs}
            life.now += timedelta(seconds=1)
            life.tell(ev.StepReused(at=life.now, step=key, outputs=outputs, run_id="000000000000"))
