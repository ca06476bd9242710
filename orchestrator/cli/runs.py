"""`orchestrator runs`: shows runs, and cancels, resumes, deletes and acknowledges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.completers import (
    active_runs,
    ended_runs,
    failed_runs,
    pipeline_names,
    resumable_runs,
    run_states,
    step_names,
)
from orchestrator.cli.found_runs import begun, full_id, unbegun_of, with_files
from orchestrator.cli.options import Json, NoWait, RunArgument, Yes, confirm, group, session_of, workspace
from orchestrator.cli.outcome import INTERRUPTED, OK, RUN_FAILED, error_json, show_error
from orchestrator.cli.output import painter, print_json, put, put_json, say
from orchestrator.errors import NotPossible, OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.service.workspace import Workspace

app = group("List, show, follow, cancel, resume, acknowledge and delete runs.")

Step = Annotated[
    str | None,
    typer.Option("--step", metavar="STEP", help="Only this step, such as clean or load[a].", autocompletion=step_names),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")]


_A_RUN = "A run's id, a unique beginning of it, or `last`."
ActiveRun = Annotated[str, typer.Argument(metavar="RUN", help=_A_RUN, autocompletion=active_runs)]
ResumableRun = Annotated[str, typer.Argument(metavar="RUN", help=_A_RUN, autocompletion=resumable_runs)]


@app.command("list", epilog="Example: orchestrator runs list --pipeline flights --status FAILURE --since 2d")
def list_(
    pipeline: Annotated[
        str | None, typer.Option(metavar="PIPELINE", help="Only runs of this pipeline.", autocompletion=pipeline_names)
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only runs in this state.", autocompletion=run_states)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="K[=V]", help="Only runs with this tag.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only later ones: 2h, 7d, 2026-03-01.")] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many at most; 0 for all.")] = 20,
    json: Json = False,
) -> None:
    """List runs, the newest first."""
    from orchestrator import clock
    from orchestrator.cli.run_filter import run_filter
    from orchestrator.cli.runs_view import run_table
    from orchestrator.service.history import is_abandoned
    from orchestrator.service.queued_runs import why_they_wait, with_waiting

    which = run_filter(pipeline, status or [], tag or [], since, limit)
    with workspace(only_reads=True) as found, session_of(found) as session:
        runs = session.runs(which)
        total = session.count_runs(which) if not json and limit and len(runs) == limit else len(runs)
        damaged = session.damage()
        runs = with_waiting(found.state, runs, which)
        interrupted = {run.run_id for run in runs if is_abandoned(found.state, run)}
    waits = why_they_wait(found.state, runs)
    now = clock.now()
    if json:
        from orchestrator.cli.run_json import listed_json  # takes 50 ms to import

        print_json(
            [
                listed_json(found.state, run, now, waits_for=waits.get(run.run_id), damage=damaged.get(run.run_id))
                for run in runs
            ]
        )
    elif runs:
        put(run_table(runs, now, interrupted))
        for run_id, reason in waits.items():
            put(f"{run_id} waits: {reason}")
        _say_damage([damaged[run.run_id] for run in runs if run.run_id in damaged])
        if total > len(runs):
            say(f"and {total - len(runs)} older (--limit 0 for all)")
    else:
        say(
            "No runs match."
            if (pipeline or status or tag or since)
            else "No runs yet. Start one: orchestrator run PIPELINE"
        )


@app.command(epilog="Example: orchestrator runs show last")
def show(
    run: RunArgument,
    steps: Annotated[bool, typer.Option("--steps", help="All of it, however much there is.")] = False,
    json: Json = False,
) -> None:
    """Show one run: who asked for it, with what, its steps, what failed and why, what it wrote."""
    from orchestrator import clock
    from orchestrator.cli.queued import unbegun_words
    from orchestrator.cli.run_json import run_page_json, unbegun_json
    from orchestrator.cli.run_report import report
    from orchestrator.service.history import view_run

    with workspace(only_reads=True) as found:
        unbegun = unbegun_of(found, run)
        if unbegun is not None:
            if json:
                print_json(unbegun_json(unbegun, clock.now()))
            else:
                put(unbegun_words(unbegun, clock.now()))
            return
        run_id = with_files(found, run)
        with session_of(found) as session:
            acknowledged = session.acknowledgement(run_id)
        view = view_run(found.run(run_id))
    now = clock.now()
    if json:
        print_json(run_page_json(view, now, acknowledged))
        return
    lines = report(view, now=now, paint=painter(), every_step=steps, with_origin=True, acknowledged=acknowledged)
    for line in lines:
        put(line)


@app.command(epilog="Example: orchestrator runs events last --follow")
def events(run: RunArgument, follow: Follow = False, json: Json = False) -> None:
    """Print everything that happened in a run, in order."""
    from orchestrator.cli.events_view import event_row
    from orchestrator.model.events import encode_line
    from orchestrator.service.follow_run import follow_events

    with workspace(only_reads=True) as found:
        run_log = found.run(begun(found, run, follow))
    paint = painter()
    if json and not follow:
        put_json("[" + ",\n ".join(encode_line(event).decode().rstrip() for event in run_log.events()) + "]")
        return
    for event in follow_events(run_log) if follow else run_log.events():
        if json:
            put_json(encode_line(event).decode().rstrip(), flush=follow)
        else:
            put(event_row(event, paint), flush=follow)


@app.command(epilog="Example: orchestrator runs logs last --step load[a] --tail 100")
def logs(
    run: RunArgument,
    step: Step = None,
    follow: Follow = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=0, metavar="N", help="Only the last N lines.")] = None,
    times: Annotated[bool, typer.Option("--times", help="Show when each line was written, where it is known.")] = False,
    json: Json = False,
) -> None:
    """Print what the steps of a run printed and logged, each attempt in the order of writing."""
    from orchestrator.cli.logs_view import shown_logs

    with workspace(only_reads=True) as found:
        run_id = begun(found, run, follow)
    for text in shown_logs(found, run_id, step, follow=follow, tail=tail, json=json, times=times, paint=painter()):
        put_json(text, flush=follow) if json else put(text, flush=follow)


@app.command(epilog="Example: orchestrator runs wait last --timeout 10m && echo done")
def wait(
    run: RunArgument,
    timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Give up after this long.")] = None,
    json: Json = False,
) -> int:
    """Wait until a run is over; exits with 0 if it succeeded, 1 if it failed, 130 if it was canceled.

    With --timeout it exits with 8 when the run is not over by then."""
    from orchestrator import clock
    from orchestrator.cli.run_json import run_page_json, unbegun_json
    from orchestrator.service.history import view_run
    from orchestrator.service.queued_runs import wait_until_begun
    from orchestrator.service.wait_for_run import wait_for

    started, patience = clock.monotonic(), _seconds(timeout)
    with workspace() as found:
        run = full_id(found, run)
        never_begun = wait_until_begun(found.state, lambda: unbegun_of(found, run), patience, say)
        if never_begun is not None:
            if json:
                print_json(unbegun_json(never_begun, clock.now()))
            else:
                put(f"{run}  {never_begun.summary.status}")
            return INTERRUPTED
        run_log = found.run(with_files(found, run))
    detail = wait_for(run_log, patience, started)
    if json:
        print_json(run_page_json(view_run(run_log), clock.now()))
    else:
        put(f"{detail.run_id}  {detail.status}")
    return {"SUCCESS": OK, "CANCELED": INTERRUPTED}.get(detail.status, RUN_FAILED)


@app.command(epilog="Example: orchestrator runs cancel last")
def cancel(run: ActiveRun, json: Json = False) -> int:
    """Cancel a run: steps that are running are told to stop, no other starts."""
    from orchestrator import clock
    from orchestrator.service.cancel_run import CancelOutcome, cancel_run
    from orchestrator.service.queued_runs import stop_waiting

    with workspace() as found:
        if (run_id := stop_waiting(found.state, run)) is not None:
            return _canceled(
                run_id, "stopped_waiting", f"Asked the command that waits with run {run_id} to stop.", json
            )
        with session_of(found) as session:
            run_id = session.run_id(run)
            became = cancel_run(session, run_id, "orchestrator runs cancel", clock.now())
        if became is CancelOutcome.DEQUEUED:
            return _canceled(run_id, "dequeued", f"Canceled run {run_id}, which was waiting in the queue.", json)
        if became is CancelOutcome.ASKED:
            return _canceled(run_id, "asked", f"Asked run {run_id} to stop.", json)
        return _end_here(found, run_id, json)


@app.command(epilog="Example: orchestrator runs resume last")
def resume(run: ResumableRun, no_wait: NoWait = False, json: Json = False) -> int:
    """Go on with a run whose owner is gone. Steps that succeeded are not run again; ones that still run are awaited."""
    with workspace() as found:
        return _take_over(found, with_files(found, run), json, no_wait=no_wait)


@app.command(epilog="Example: orchestrator runs acknowledge last --note 'the supplier sent no file'")
def acknowledge(
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Failed runs, each by a unique beginning of its id, or `last`.",
            autocompletion=failed_runs,
        ),
    ],
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why it failed, or what was done.")] = None,
    json: Json = False,
) -> None:
    """Note that somebody knows of failed runs: they are no problem in `status` any more."""
    from orchestrator import clock
    from orchestrator.service.acknowledge import acknowledge_failure

    with workspace() as found, session_of(found) as session:
        run_ids = [session.run_id(reference) for reference in run]
        for run_id in run_ids:
            acknowledge_failure(session, run_id, note, clock.now())
            if not json:
                put(f"Acknowledged the failure of run {run_id}.")
        if json:
            print_json([{"run_id": run_id, "acknowledged": session.acknowledgement(run_id)} for run_id in run_ids])


@app.command(epilog="Example: orchestrator runs delete 7k2m --yes")
def delete(
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Runs, each by a unique beginning of its id, or `last`.", autocompletion=ended_runs
        ),
    ],
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Delete runs: their files, their stored values, their events. Tables and files that steps wrote elsewhere stay."""
    from orchestrator import clock
    from orchestrator.service.cancel_run import remove_run

    with workspace() as found:
        with session_of(found) as session:
            run_ids = [session.run_id(reference) for reference in run]
        confirm(f"Delete {', '.join(run_ids)}?", yes)
        deleted: list[str] = []
        refused: list[tuple[str, OrchestratorError]] = []
        with session_of(found) as session:
            for run_id in dict.fromkeys(run_ids):
                try:
                    remove_run(session, run_id, clock.now())
                except NotPossible as error:
                    refused.append((run_id, error))
                    continue
                deleted.append(run_id)
                if not json:
                    put(f"Deleted run {run_id}.")
    if json:
        errors = [{"run_id": run_id, **error_json(refusal)} for run_id, refusal in refused]
        last = error_json(refused[-1][1]) if refused else None
        print_json({"deleted": deleted, "refused": errors, "error": last})
    for _, refusal in refused:
        show_error(refusal)
    return refused[-1][1].exit_code if refused else OK


def _say_damage(problems: list[str]) -> None:
    for problem in problems:
        say(problem)
    if problems:
        say("`orchestrator state check --repair` sets aside what is damaged and repairs what it can.")


def _canceled(run_id: str, outcome: str, words: str, json: bool) -> int:
    if json:
        print_json({"run_id": run_id, "outcome": outcome})
    else:
        put(words)
    return OK


def _end_here(found: Workspace, run_id: str, json: bool) -> int:
    say(f"Run {run_id} has no owner process; canceling it from here.")
    try:
        _take_over(found, run_id, json, ignore_limits=True)  # no step starts any more
    except NotPossible:
        if not found.run(run_id).is_owned():
            raise
        # Another process took it over this moment, and has been asked as well.
        return _canceled(run_id, "asked", f"Asked run {run_id} to stop.", json)
    return OK


def _take_over(
    found: Workspace, run_id: str, json: bool = False, *, no_wait: bool = False, ignore_limits: bool = False
) -> int:
    from orchestrator.cli.run import drive_and_show, gave_up, take_signals
    from orchestrator.cli.waiting import wait_display
    from orchestrator.service.admission import GaveUp, Terms
    from orchestrator.service.interrupts import Interrupts
    from orchestrator.service.take_over import take_over

    interrupts = Interrupts()
    try:
        with wait_display() as tell:
            terms = Terms(
                wait=not no_wait, ignore_limits=ignore_limits, tell=tell, prepare=lambda: take_signals(interrupts)
            )
            owned = take_over(found, found.run(run_id), terms, interrupts)
    except GaveUp:
        return gave_up(interrupts, json)
    return drive_and_show(found, owned, interrupts, json)


def _seconds(text: str | None) -> float | None:
    from orchestrator.clock import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
