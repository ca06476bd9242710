"""Random pipelines, and what is right for a run of one, said from first principles: by going through all steps in order
and all keys of each, with no regard for time. The engine's code is not used for that.
"""

from dataclasses import dataclass, field
from random import Random

from orchestrator.planning.plan import Plan, PlannedInput, PlannedOutput, PlannedStep, Source

KEYS = ("a", "b", "c")


@dataclass(frozen=True)
class Node:
    """A step: `scope` names the dynamic outputs it is mapped over, `inputs` and `after` its sources. An input is a form
    and a list of (node, output); one of `after` is (node, output, whether all its keys are waited for)."""

    name: str
    scope: tuple = ()
    inputs: tuple = ()
    after: tuple = ()
    outputs: dict = field(default_factory=dict)  # name -> "plain", "optional", "dynamic" or "optional dynamic"


def random_nodes(random, count):
    """That many nodes, each mapped and wired as a pipeline function could have done it; some in nested pipelines."""
    nodes = []
    for number in range(count):
        scopes = [()] + [
            (*node.scope, f"{node.name}.{name}")
            for node in nodes
            for name, kind in node.outputs.items()
            if "dynamic" in kind and len(node.scope) < 2
        ]
        scope = random.choice(scopes) if random.random() < 0.7 else ()
        prefix = random.choice(("", "", "inner.", "outer.inner."))
        nodes.append(_random_node(random, f"{prefix}s{number}", scope, nodes))
    return nodes


def _random_node(random, name, scope, nodes):
    single = _single_sources(scope, nodes)
    collectable = _collectable(scope, nodes)
    inputs = []
    if scope:
        inputs.append(("one", (_anchor(random, scope, nodes),)))
    for _ in range(random.choice((0, 1, 1, 2))):
        if collectable and random.random() < 0.4:
            inputs.append(("collect", (random.choice(collectable),)))
        elif single and random.random() < 0.4:
            inputs.append(("list", tuple(random.choice(single) for _ in range(random.randint(1, 3)))))
        elif single:
            inputs.append(("one", (random.choice(single),)))
    after = []
    if random.random() < 0.3:
        options = [(*source, False) for source in single] + [(*source, True) for source in collectable]
        after = random.sample(options, min(len(options), random.randint(1, 2)))
    kinds = ("plain",) * 4 + ("optional",) * 2 + ("dynamic",) * 2 + ("optional dynamic",)
    outputs = {f"o{place}": random.choice(kinds) for place in range(random.choice((1, 1, 2)))}
    return Node(name, scope, tuple(inputs), tuple(after), outputs)


def _single_sources(scope, nodes):
    """The outputs of which a step with that scope can take one value."""
    found = []
    for node in nodes:
        for name, kind in node.outputs.items():
            whole = (*node.scope, f"{node.name}.{name}") if "dynamic" in kind else node.scope
            if scope[: len(whole)] == whole:
                found.append((node.name, name))
    return found


def _collectable(scope, nodes):
    """The outputs whose values, for all keys of the innermost dynamic output, a step with that scope can collect."""
    found = []
    for node in nodes:
        for name, kind in node.outputs.items():
            whole = (*node.scope, f"{node.name}.{name}") if "dynamic" in kind else node.scope
            if whole and scope[: len(whole) - 1] == whole[:-1]:
                found.append((node.name, name))
    return found


def _anchor(random, scope, nodes):
    """A source that gives a step its scope: a value of the dynamic output, or of a step mapped over it."""
    producer, _, output = scope[-1].rpartition(".")
    mapped = [
        (node.name, name)
        for node in nodes
        if node.scope == scope
        for name, kind in node.outputs.items()
        if "dynamic" not in kind
    ]
    return random.choice([(producer, output), *mapped])


def plan_of(nodes, chosen=None):
    """The plan of all nodes; or of those in `chosen` (a set of keys for each, () for all), and of those they need."""
    by_name = {node.name: node for node in nodes}
    chosen = {node.name: {()} for node in nodes} if chosen is None else chosen
    return Plan(
        pipeline="p",
        mode="default",
        steps=tuple(
            _planned(by_name, node, chosen.get(node.name)) for node in nodes if node.name in needed_by(nodes, chosen)
        ),
    )


def needed_by(nodes, chosen):
    """The names of the chosen nodes, of those whose outputs they take, and of those that make their keys."""
    kept = set(chosen)
    for node in nodes:
        if node.name in chosen:
            kept |= {source[0] for source in _sources(node)}
    for node in nodes:
        if node.name in kept:
            kept |= {dynamic.rpartition(".")[0] for dynamic in node.scope}
    return kept


def _sources(node):
    return [source for _, sources in node.inputs for source in sources] + [source[:2] for source in node.after]


def _planned(by_name, node, keys):
    def source(name, output):
        return Source(name + "[?]" * len(by_name[name].scope), output)

    return PlannedStep(
        key=node.name + "[?]" * len(node.scope),
        node=node.name,
        scope=node.scope,
        inputs=tuple(
            PlannedInput(f"i{place}", form, tuple(source(*each) for each in sources))
            for place, (form, sources) in enumerate(node.inputs)
        )
        if keys
        else (),
        after=tuple((source(name, output), every) for name, output, every in node.after) if keys else (),
        outputs=tuple(
            PlannedOutput(name, "io_manager", optional="optional" in kind, dynamic="dynamic" in kind)
            for name, kind in node.outputs.items()
        ),
        selected=bool(keys),
        keys=tuple(sorted(one for one in keys or () if one)),
    )


def outcome(seed, run, key, node):
    """What the step does when it runs in that run: its outputs with their keys, or None when it fails."""
    random = Random(f"{seed} {run} {key}")
    if random.random() < 0.15:
        return None
    produced = {}
    for name, kind in node.outputs.items():
        if "optional" in kind and random.random() < 0.4:
            continue
        count = random.choice((0, 1, 2, 2, 3))
        produced[name] = tuple(random.sample(KEYS, count)) if "dynamic" in kind else None
    return produced


@dataclass
class Fate:
    """What becomes of a step: `state`, its outputs and the run that made them, and what it is given when it runs."""

    state: str  # SUCCESS FAILURE REUSED SKIPPED ABANDONED
    outputs: dict = field(default_factory=dict)
    made_by: str | None = None
    given: list = field(default_factory=list)
    settled: bool = False  # nothing that runs in this run has any part in it


ENDED_WELL = ("SUCCESS", "REUSED")


class Oracle:
    """What must happen in a run. `earlier` are the fates in the runs that it continues, the nearest first."""

    def __init__(self, nodes, run, seed, *, earlier=(), chosen=None, only_failed=False):
        self.nodes = {node.name: node for node in nodes}
        self.run, self.seed, self.earlier, self.only_failed = run, seed, earlier, only_failed
        self.chosen = {node.name: {()} for node in nodes} if chosen is None else chosen
        self.fates = {}
        for node in nodes:
            if node.name in needed_by(nodes, self.chosen):
                for keys in self._all_keys(node.scope):
                    self.fates[node.name, keys] = self._fate(node, keys)

    def runs(self):
        """The steps that run, each with the values it is given."""
        return {key(*where): fate.given for where, fate in self.fates.items() if fate.state in ("SUCCESS", "FAILURE")}

    def states(self):
        return {key(*where): fate.state for where, fate in self.fates.items()}

    def _all_keys(self, scope):
        if not scope:
            return [()]
        outer = self._all_keys(scope[:-1])
        producer, _, output = scope[-1].rpartition(".")
        depth = len(self.nodes[producer].scope)
        return [(*keys, one) for keys in outer for one in self.fates[producer, keys[:depth]].outputs.get(output) or ()]

    def _fate(self, node, keys):
        is_chosen = any(keys[: len(wanted)] == wanted for wanted in self.chosen.get(node.name, ()))
        before = self._before(node, keys)
        if not is_chosen:
            if before is None:
                assumed = {name: () if "dynamic" in kind else None for name, kind in node.outputs.items()}
                return Fate("REUSED", assumed, None, settled=True)
            return Fate("REUSED", before.outputs, before.made_by, settled=True)
        inputs = [self._input(form, sources, keys) for form, sources in node.inputs]
        after = [self._one((name, output), keys, every) for name, output, every in node.after]
        needed = [source for sources, _ in [*inputs, *after] for source in sources]
        if any(source.state in ("FAILURE", "ABANDONED") for source in needed):
            return Fate("ABANDONED")
        settled = all(source.settled for source in needed)
        waited_for = [values for _, values in after if values != ()]
        if any(values is None for _, values in inputs) or (waited_for and all(values is None for values in waited_for)):
            return Fate("SKIPPED", settled=settled)
        last = self.earlier[0].get((node.name, keys)) if self.earlier else None
        if self.only_failed and settled and last is not None and last.state in ENDED_WELL and before is not None:
            return Fate("REUSED", before.outputs, before.made_by, settled=True)
        given = [values for _, values in inputs]
        produced = outcome(self.seed, self.run, key(node.name, keys), node)
        return Fate("FAILURE", {}, None, given) if produced is None else Fate("SUCCESS", produced, self.run, given)

    def _before(self, node, keys):
        """What the nearest run has of it that says anything of it."""
        for fates in self.earlier:
            fate = fates.get((node.name, keys))
            if fate is None or fate.state not in (*ENDED_WELL, "SKIPPED"):
                continue
            if fate.made_by or not fate.outputs:  # else nobody knows where its values are
                return fate
        return None

    def _input(self, form, sources, keys):
        """(the fates it depends on, its values; None when it has none)."""
        found = [self._one(source, keys, form == "collect") for source in sources]
        values = [one for _, values in found for one in values or ()]
        missing = all(values is None for _, values in found)
        return [fate for fates, _ in found for fate in fates], None if missing else values

    def _one(self, source, keys, every):
        name, output = source
        node, depth = self.nodes[name], len(self.nodes[name].scope)
        dynamic = "dynamic" in node.outputs[output]
        if not every or dynamic:
            fate = self.fates[name, keys[:depth]]
            if output not in fate.outputs:
                return [fate], None
            wanted = (fate.outputs[output] or ()) if every else (keys[depth],) if dynamic else (None,)
            return [fate], [(key(name, keys[:depth]), output, one, fate.made_by) for one in wanted]
        producer, _, made = node.scope[-1].rpartition(".")
        above = self.fates[producer, keys[: len(self.nodes[producer].scope)]]
        if above.outputs.get(made) is None:
            return [above], None
        each = [(name, (*keys[: depth - 1], one)) for one in above.outputs[made]]
        fates = [self.fates[where] for where in each]
        values = [
            (key(*where), output, None, fate.made_by)
            for where, fate in zip(each, fates, strict=True)
            if output in fate.outputs
        ]
        if not each:
            return [above], ()  # a mapped step that never runs: as an input an empty list, and nothing to wait for
        return [above, *fates], values or None


def key(name, keys):
    return name + "".join(f"[{one}]" for one in keys)


def random_choice(random, nodes, fates):
    """Some nodes, some of them for some keys only, of a run with these fates; as a selection could say it."""
    chosen = {}
    for node in random.sample(nodes, random.randint(1, len(nodes))):
        known = sorted(keys for name, keys in fates if name == node.name and keys)
        if known and random.random() < 0.5:
            chosen[node.name] = {one[: random.randint(1, len(one))] for one in random.sample(known, 1)}
        else:
            chosen[node.name] = {()}
    return chosen


def is_possible(nodes, chosen):
    """Whether a choice can be carried out: a step is chosen for all keys that a chosen step makes anew."""
    by_name = {node.name: node for node in nodes}
    for name in needed_by(nodes, chosen):
        makers = [dynamic.rpartition(".")[0] for dynamic in by_name[name].scope]
        for made in (made for maker in makers for made in chosen.get(maker, ())):
            if not any(made[: len(wanted)] == wanted for wanted in chosen.get(name, ())):
                return False
    return True
