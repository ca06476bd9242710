"""What was installed or removed, and what is left for the user to type. Runs none of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.daemon.install import Installed, Uninstalled


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
    if done.other_daemon is not None:
        yield f"A daemon that was started by hand (process {done.other_daemon}) runs already. To hand over, type:"
        yield "    orchestrator daemon stop"
    elif done.to_type:
        yield "Then type:" if done.missing else "To start it, now and at every login, type:"
    yield from _indented(done.to_type)
    if done.lingers is not True and done.file.endswith(".service"):
        yield "So that it also runs while you are not logged in, type once:"
        yield "    loginctl enable-linger"


def uninstalled_lines(done: Uninstalled) -> Iterator[str]:
    """What is gone, what was kept, and what still runs."""
    yield f"removed {done.file}"
    if done.kept is not None:
        yield f"kept {done.kept}: it holds values of environment variables. Delete it when nobody needs them."
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
