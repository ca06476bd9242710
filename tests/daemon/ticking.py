"""A daemon in this process whose clock is set by hand: real locations, evaluators, steps and store, any instant."""

from datetime import datetime, timedelta

from orchestrator import clock
from orchestrator.catalog.automations import list_automations
from orchestrator.catalog.rpc_server import StoreServer
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import hold_store
from orchestrator.catalog.ticks import list_ticks
from orchestrator.clock import monotonic
from orchestrator.daemon.core import Daemon
from orchestrator.daemon.log import DaemonLog
from orchestrator.model.filters import RunFilter, TickFilter
from orchestrator.service import automations
from orchestrator.service.workspace import Workspace, load_locations

# A daemon that has something to do for this long hangs.
HANGS_S = 30


class Ticking:
    """`at` sets the clock and lets the daemon do all that is due then."""

    def __init__(self, bench, monkeypatch):
        self.bench = bench
        self.now = datetime.fromisoformat("2019-02-27T12:00:00Z")
        monkeypatch.setattr(clock, "now", lambda: self.now)
        self._held = self.daemon = None

    def __enter__(self):
        """Begins a daemon's life."""
        workspace = Workspace.find(str(self.bench.path / ".orchestrator.yaml"))
        self._held = hold_store(workspace.state)
        self.store = self._held.__enter__()
        self.daemon = Daemon(
            workspace,
            self.store,
            StoreServer(workspace.state, self.store.database),
            DaemonLog(workspace.state, "text", echo=False),
        )
        return self

    def __exit__(self, *_):
        """Ends it, as if it had been stopped."""
        self.daemon.close()
        self.daemon.workspace.close()
        self._held.__exit__(None, None, None)
        self.daemon.log.close()
        self.daemon = None

    def at(self, instant, *, until=None):
        """Turns until nothing is to be done any more at that instant, or until the condition holds."""
        self.now = datetime.fromisoformat(instant)
        loop = self.daemon.loop
        loop.is_stopping = False
        deadline = monotonic() + HANGS_S

        def after_turn(_now):
            assert monotonic() < deadline, "it never settles"
            self.daemon.commits.flush()
            self.now += timedelta(microseconds=1)  # time that stands still would put everything in no order
            loop.is_stopping = self.daemon.is_settled() if until is None else until()

        loop.run(after_turn)
        errors = [one.error for one in self.daemon.concerns if one.error]
        assert errors == [], "\n".join(errors)
        return self

    def switch(self, name, *, on, at=None):
        """Turns something on or off, as the command does."""
        if at is not None:
            self.now = datetime.fromisoformat(at)
        self._change(
            name,
            (lambda store, one: automations.turn_on(store, one, self.now))
            if on
            else (lambda store, one: automations.turn_off(store, one, self.now)),
        )
        return self

    def turn_on(self, name, at=None):
        return self.switch(name, on=True, at=at)

    def turn_off(self, name, at=None):
        return self.switch(name, on=False, at=at)

    def set_cursor(self, name, cursor):
        self._change(name, lambda store, one: automations.set_cursor(store, one, cursor))

    def free_key(self, name, key):
        self._change(name, lambda store, one: automations.free_key(store, one, key))

    def edit(self, source, at):
        """Another version of the definitions, loaded at that instant."""
        self.bench.write(source)
        self.now = datetime.fromisoformat(at)
        self.daemon.locations.reload()
        return self.at(at)

    def one(self, name):
        """What is remembered of a schedule or sensor."""
        locations = load_locations(self.daemon.workspace)
        everything = automations.reconciled(locations, self.store(list_automations), self.now)
        return next(one for one in everything if one.name == name)

    def ticks(self, name, location="main"):
        """Its ticks, oldest first."""
        return list(reversed(self.store(list_ticks, TickFilter(name=f"{location}/{name}", limit=100_000))))

    def outcomes(self, name):
        """The states of its ticks, oldest first."""
        return [str(tick.status) for tick in self.ticks(name)]

    def instants(self, name, status="SUCCESS"):
        """For which instants it has ticks in that state."""
        return [f"{tick.scheduled_at:%m-%d %H:%M}" for tick in self.ticks(name) if tick.status == status]

    def runs(self, **which):
        """All runs, oldest first."""
        return list(reversed(self.store(list_runs, RunFilter(limit=100_000, **which))))

    def upcoming(self, name):
        """When it is looked at next."""
        return self.daemon.schedules.due_queue.at(f"main/{name}") or self.daemon.sensors.due_queue.at(f"main/{name}")

    def _change(self, name, change):
        self.daemon.before_operation()
        change(self.store, self.one(name))
        self.daemon.registry.changed()
