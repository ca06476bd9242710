"""Repairs a damaged state directory: the database, the files of runs, and what the index has of them. Each change is
reported in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator import clock
from orchestrator.catalog import maintenance
from orchestrator.catalog.damage import forget_damage, list_damage
from orchestrator.catalog.session import Store, open_store
from orchestrator.errors import NotPossible, RunDamaged
from orchestrator.runlog.repair import (
    Aside,
    named_runs,
    remove_leftovers,
    repair_journal,
    repair_names,
    repair_output,
    repair_place,
)
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.cancel_run import log_deletion
from orchestrator.service.history import replayed
from orchestrator.service.maintenance import differing, rebuild_damaged, refuse_beside_daemon
from orchestrator.state_dir import StateDir


def repair_state(state: StateDir) -> list[str]:
    """Repairs what can be repaired; what was done, a sentence each. Raises DaemonError beside a daemon."""
    refuse_beside_daemon(state)
    aside = Aside(state, clock.now())
    done = list(repair_names(state, aside))
    rebuilt = rebuild_damaged(state)
    if rebuilt is not None:
        done.append(f"The database could not be read. It is in {rebuilt.damaged} now, and a new one was made.")
        done += [f"Of the {one.what}, {one.rows:,} could be read." for one in rebuilt.saved if one.lost != 0]
    with open_store(state) as store:
        for run_log in named_runs(state):
            done += _repair_run(store, run_log, aside)
        done += _index_again(store, state)
        done += _forget_lost(store)
        store(forget_damage, [""])  # what is said of the state as a whole has been read
    done += remove_leftovers(state, aside)
    with open_store(state):
        pass  # ingests what was repaired
    return done


def _forget_lost(store: Store) -> Iterator[str]:
    """Takes back what is said of runs whose files are gone: there is nothing left to repair."""
    lost = sorted(
        {run_id for run_id, _ in store(list_damage) if run_id and not RunLog(store.state, run_id).has_files()}
    )
    yield from (f"The files of run {run_id} are gone. What the index knows of it stays." for run_id in lost)
    store(forget_damage, lost)


def _index_again(store: Store, state: StateDir) -> Iterator[str]:
    """Takes in again the runs that the index lacks, or has otherwise than their journals."""
    for run_id in differing(state, store(maintenance.indexed_runs)):
        store(maintenance.rebuild, state, [run_id])
        yield f"What the index had of run {run_id} differed from its journal. It was taken in again."


def _repair_run(store: Store, run_log: RunLog, aside: Aside) -> Iterator[str]:
    yield from repair_place(run_log, aside)
    if not run_log.exists():
        return
    try:
        lock = run_log.own()
    except NotPossible:
        return  # it has an owner, which relies on what it has read
    try:
        changed = list(_repair_files(store, run_log, aside))
    finally:
        lock.release()
    if changed and run_log.exists():
        store(maintenance.rebuild, store.state, [run_log.run_id])
    elif changed:
        store(forget_damage, [run_log.run_id])
    yield from changed


def _repair_files(store: Store, run_log: RunLog, aside: Aside) -> Iterator[str]:
    def indexed() -> list[bytes]:
        return [line.encode() for line in store(maintenance.indexed_lines, run_log.run_id)]

    try:
        record = run_log.record()
        yield from repair_journal(run_log, indexed, aside)
        replayed(run_log, record, ())
    except FileNotFoundError:
        yield f"{run_log.directory} held no run. It is in {aside.take(run_log.directory)} now."
        return
    except RunDamaged as error:
        if not error.is_newer:
            log_deletion(store, run_log.run_id, clock.now(), is_listed=True)
            where = aside.take(run_log.directory)
            yield f"{error.message} Its files are in {where} now; its events stay in the index."
        return
    yield from repair_output(run_log, aside)
