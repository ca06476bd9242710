"""Installs the daemon as a service of systemd or launchd, and uninstalls it.

Where their own commands work from here they are used; where not (no session, another user's shell) the files are
written all the same, and the commands to type are handed back.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from orchestrator.errors import DaemonError, NotPossible
from orchestrator.heartbeat import daemon_pid
from orchestrator.private_file import DIR_MODE, FILE_MODE, write_atomically
from orchestrator.service.workspace import Workspace
from orchestrator.service_manager.service import Service, environment_file
from orchestrator.service_manager.systems import Command, Launchd, System, Systemd, carry_out
from orchestrator.settings import EnvironmentVariable, Settings

_GIVEN = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)


class Installed(msgspec.Struct, frozen=True):
    """What was done, and what is left for the user to do."""

    file: str
    environment_file: str | None
    missing: tuple[str, ...] = ()  # variables that the environment file does not give yet
    other_daemon: int | None = None  # a daemon that was started by hand, and is in the way
    is_started: bool = False
    absence: str | None = None  # what is not here of systemd or launchd, which would read the file
    lingers: bool | None = None  # whether it runs without a login session; None: not known, or no such thing
    to_type: tuple[str, ...] = ()


class Uninstalled(msgspec.Struct, frozen=True):
    """What was removed, and what is left."""

    file: str
    kept: str | None = None  # the environment file, when a user has put values into it
    daemon: int | None = None  # a daemon that goes on
    to_type: tuple[str, ...] = ()


@dataclass(frozen=True)
class Installer:
    """Installs and uninstalls for one workspace."""

    workspace: Workspace
    system: System
    service: Service
    environment: Mapping[str, str] = field(repr=False)

    def text(self) -> str:
        """What would be written."""
        return self.system.content_of(self.service).decode(errors="replace")

    def install(self, *, save_environment: bool = False) -> Installed:
        """Writes the files, and has the daemon started now and at every login. Doing it again changes nothing.

        `save_environment` puts the values that the variables have now into the environment file.
        """
        system, service = self.system, self.service
        file, content = system.file_of(service), system.content_of(service)
        missing, environment = self._write_environment(save_environment)
        is_new = not file.exists() or file.read_bytes() != content
        if is_new:
            _write(file, content, directory_mode=0o755)
        if not system.works():
            to_type = _typed(system.start_by_hand(service))
            return Installed(str(file), environment, missing, absence=system.absence(), to_type=to_type)
        carry_out(system.enable(service))
        ours, running = system.pid_of(service), daemon_pid(self.workspace.state)
        other = running if running != ours else None
        if missing or other is not None:
            return Installed(
                str(file), environment, missing, other, lingers=system.lingers(), to_type=_typed(system.start(service))
            )
        if is_new or ours is None:
            carry_out(system.start(service))
        return Installed(str(file), environment, missing, is_started=True, lingers=system.lingers())

    def uninstall(self) -> Uninstalled:
        """Stops the service and removes what `install` has written. Raises NotPossible when there is none."""
        system, service = self.system, self.service
        file = system.file_of(service)
        if not file.exists():
            raise NotPossible(
                f"No service is installed for {self.workspace.settings.path}.",
                hint="`orchestrator daemon install` installs one.",
            )
        works = system.works()
        if works:
            carry_out(system.remove(service))
        for path in (file, *system.links(service)):
            path.unlink(missing_ok=True)
        if works:
            carry_out(system.forget(service))
        to_type = () if works else _typed(system.stop_by_hand(service))
        return Uninstalled(str(file), self._drop_environment(), daemon_pid(self.workspace.state), to_type)

    def _drop_environment(self) -> str | None:
        """Removes the environment file unless a user has put values into it; the file that is left."""
        path = self.service.environment_file
        if not path.exists():
            return None
        if _GIVEN.search(path.read_text(errors="replace")):
            return str(path)
        path.unlink()
        return None

    def _write_environment(self, save: bool) -> tuple[tuple[str, ...], str | None]:
        """Makes the environment file if the workspace needs one. What a user has put into it stays."""
        variables = variables_of(self.workspace.settings)
        path = self.service.environment_file
        before = path.read_text() if path.exists() else ""
        given = set(_GIVEN.findall(before))
        if not given:
            before = ""  # unchanged by the user: it is written again
        wanted = {name: users for name, users in variables.items() if name not in given}
        values = {name: self.environment[name] for name in wanted if save and name in self.environment}
        if wanted and (values or not before):
            _write(path, (before + environment_file(wanted, values)).encode(), directory_mode=DIR_MODE)
        elif path.exists():
            path.chmod(FILE_MODE)
        missing = tuple(sorted(wanted.keys() - values.keys()))
        return missing, str(path) if path.exists() else None


def installer_for(
    workspace: Workspace, environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> Installer:
    """The installer for a workspace on this kind of machine."""
    home = Path(environment.get("HOME") or Path.home())
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    path = workspace.settings.path.absolute()
    unplaced = Service(path, Path(sys.executable), Path(), environment.get("PATH", os.defpath))
    private = configuration / "orchestrator" / f"{unplaced.name}.env"
    service = Service(path, unplaced.python, private, unplaced.path)
    system: System = Systemd(configuration / "systemd" / "user")
    if platform == "darwin":
        system = Launchd(home / "Library" / "LaunchAgents", home / "Library" / "Logs")
    return Installer(workspace, system, service, environment)


def variables_of(settings: Settings) -> dict[str, list[str]]:
    """The environment variables that a workspace file asks for with `{env: NAME}`, each with what it is for."""
    found: dict[str, list[str]] = {}
    for location in settings.locations:
        for value in location.env.values():
            if isinstance(value, EnvironmentVariable):
                users = found.setdefault(value.env, [])
                if f"location {location.name}" not in users:
                    users.append(f"location {location.name}")
    return found


def _write(path: Path, content: bytes, *, directory_mode: int) -> None:
    """Writes a file that only its user can read, whole or not at all."""
    try:
        path.parent.mkdir(mode=directory_mode, parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise DaemonError(f"{path} cannot be written: {error.strerror}.") from error


def _typed(commands: Iterable[Command]) -> tuple[str, ...]:
    return tuple(map(shlex.join, commands))
