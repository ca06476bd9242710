"""Shows what was installed or removed, and the commands that remain to be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.service_manager.install import Installed, Uninstalled


def installed_lines(done: Installed, workspace: Path) -> Iterator[str]:
    """What is there now; then everything that is still to be done, as commands to type."""
    yield f"installed {done.file}"
    if done.is_started:
        yield f"The daemon of {workspace} runs now, and will at every login."
    if done.missing and done.environment_file is not None:
        yield f"The workspace asks for {_listed(done.missing)}. Give a value to each in a file that only you can read,"
        yield f"    {done.environment_file}"
        yield "or have the values of this shell put there:"
        yield "    orchestrator daemon install --save-environment"
    elif done.environment_file is not None:
        yield f"Its environment variables are in {done.environment_file}."
    if done.absence is not None:
        yield from _without_system(done.absence, workspace)
    if done.other_daemon is not None:
        yield f"A daemon that was started by hand (process {done.other_daemon}) runs already. To hand over, type:"
        yield "    orchestrator daemon stop"
    elif done.to_type:
        start = "To start it, now and at every login, type:"
        yield "On a machine that has it, type:" if done.absence else "Then type:" if done.missing else start
    yield from _indented(done.to_type)
    if done.lingers is not True and done.file.endswith(".service"):
        yield "So that it also runs while you are not logged in, type once:"
        yield "    loginctl enable-linger"


def _without_system(absence: str, workspace: Path) -> Iterator[str]:
    """Why nothing has been started, and what starts the daemon instead."""
    yield f"{absence}, so nothing reads this file. To start the daemon without it, type:"
    yield f"    orchestrator --workspace {shlex.quote(str(workspace))} daemon start --detach"
    yield "and have that run when the machine starts (cron: @reboot). In a container, make `daemon start` its command."
    yield "Where there is only cron, let it run `orchestrator daemon tick` every minute."


def uninstalled_lines(done: Uninstalled) -> Iterator[str]:
    """What is gone, what was kept, and what still runs."""
    yield f"removed {done.file}"
    if done.kept is not None:
        yield f"kept {done.kept}: it holds values of environment variables. Delete it when they are no longer needed."
    if done.to_type:
        yield "To stop what may still run of it, type:"
        yield from _indented(done.to_type)
    elif done.daemon is not None:
        yield f"A daemon that was started by hand (process {done.daemon}) goes on."


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _indented(commands: Iterable[str]) -> Iterator[str]:
    return (f"    {command}" for command in commands)
