"""Talks to the service managers of a machine: systemd's user instance, launchd.

Knows where their files lie and their commands; nothing of workspaces.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from orchestrator.errors import DaemonError
from orchestrator.service_manager.service import Service, launchd_agent, systemd_unit

Command = tuple[str, ...]


class System(Protocol):
    """What keeps services running on this machine."""

    def file_of(self, service: Service) -> Path:
        """The file that a service is described in."""
        ...

    def content_of(self, service: Service) -> bytes:
        """What stands in it. Raises NotPossible."""
        ...

    def absence(self) -> str | None:
        """What this machine lacks of it, in a sentence; None when it has all."""
        ...

    def works(self) -> bool:
        """Whether its commands can be used from here: there may be no session to talk to."""
        ...

    def enable(self, service: Service) -> list[Command]:
        """Has it started at every login."""
        ...

    def start(self, service: Service) -> list[Command]:
        """Starts it now, or anew when it runs."""
        ...

    def remove(self, service: Service) -> list[Command]:
        """Stops it, and has it started no more. The file is still there."""
        ...

    def forget(self, service: Service) -> list[Command]:
        """Once the file is gone."""
        ...

    def links(self, service: Service) -> list[Path]:
        """What else is left in the file system when it was not removed by the system's own commands."""
        ...

    def start_by_hand(self, service: Service) -> list[Command]:
        """What to type to have it started, now and at every login."""
        ...

    def stop_by_hand(self, service: Service) -> list[Command]:
        """What to type to have it stopped, once its file is gone."""
        ...

    def pid_of(self, service: Service) -> int | None:
        """The process of a service that runs."""
        ...

    def lingers(self) -> bool | None:
        """Whether services run while their user is not logged in; None when that is not known, or no question."""
        ...


class Systemd(Struct, frozen=True):
    """User units: no root is needed, and they run as the user."""

    units: Path
    booted: Path = Path("/run/systemd/system")  # where systemd is process 1, by its own definition

    def file_of(self, service: Service) -> Path:
        return self.units / f"{service.name}.service"

    def content_of(self, service: Service) -> bytes:
        return systemd_unit(service).encode(errors="surrogateescape")

    def absence(self) -> str | None:
        if shutil.which("systemctl") is None:
            return "There is no systemctl here"
        return None if self.booted.exists() else "systemd does not run here"

    def works(self) -> bool:
        return _succeeds("systemctl", "--user", "show-environment")

    def enable(self, service: Service) -> list[Command]:
        return [("systemctl", "--user", "daemon-reload"), ("systemctl", "--user", "enable", service.name)]

    def start(self, service: Service) -> list[Command]:
        return [("systemctl", "--user", "restart", service.name)]

    def remove(self, service: Service) -> list[Command]:
        return [("systemctl", "--user", "disable", "--now", service.name)]

    def forget(self, service: Service) -> list[Command]:
        return [("systemctl", "--user", "daemon-reload")]

    def links(self, service: Service) -> list[Path]:
        return [self.units / "default.target.wants" / f"{service.name}.service"]

    def start_by_hand(self, service: Service) -> list[Command]:
        return [("systemctl", "--user", "daemon-reload"), ("systemctl", "--user", "enable", "--now", service.name)]

    def stop_by_hand(self, service: Service) -> list[Command]:
        return [("systemctl", "--user", "stop", service.name), ("systemctl", "--user", "daemon-reload")]

    def pid_of(self, service: Service) -> int | None:
        said = _output("systemctl", "--user", "show", "--property=MainPID", "--value", service.name)
        return int(said) if said.isdigit() and said != "0" else None

    def lingers(self) -> bool | None:
        said = _output("loginctl", "show-user", "--property=Linger", "--value", str(os.getuid()))
        return said == "yes" if said in ("yes", "no") else None


class Launchd(Struct, frozen=True):
    """Launch agents, on macOS: they run while the user is logged in."""

    agents: Path
    logs: Path

    def file_of(self, service: Service) -> Path:
        return self.agents / f"{service.name}.plist"

    def content_of(self, service: Service) -> bytes:
        return launchd_agent(service, self.logs / f"{service.name}.log")

    def absence(self) -> str | None:
        return None if shutil.which("launchctl") else "There is no launchctl here"

    def works(self) -> bool:
        return _succeeds("launchctl", "print", self._domain)

    def enable(self, service: Service) -> list[Command]:
        return [("launchctl", "enable", self._target(service))]

    def start(self, service: Service) -> list[Command]:
        first = self.remove(service) if _succeeds("launchctl", "print", self._target(service)) else []
        return [*first, *self.start_by_hand(service)]

    def remove(self, service: Service) -> list[Command]:
        return [("launchctl", "bootout", self._target(service))]

    def forget(self, service: Service) -> list[Command]:
        return []

    def links(self, service: Service) -> list[Path]:
        return []

    def stop_by_hand(self, service: Service) -> list[Command]:
        return self.remove(service)

    def start_by_hand(self, service: Service) -> list[Command]:
        return [("launchctl", "bootstrap", self._domain, str(self.file_of(service)))]

    def pid_of(self, service: Service) -> int | None:
        found = re.search(r"^\s*pid = (\d+)", _output("launchctl", "print", self._target(service)), re.M)
        return int(found[1]) if found else None

    def lingers(self) -> bool | None:
        return None

    @property
    def _domain(self) -> str:
        return f"gui/{os.getuid()}"

    def _target(self, service: Service) -> str:
        return f"{self._domain}/{service.name}"


def _succeeds(*command: str) -> bool:
    return _run(command).returncode == 0


def _output(*command: str) -> str:
    return _run(command).stdout.strip()


def carry_out(commands: Iterable[Command]) -> None:
    """Runs the commands one after another. Raises DaemonError with what the first that fails has said."""
    for command in commands:
        done = _run(command)
        if done.returncode != 0:
            raise DaemonError(
                f"`{shlex.join(command)}` has failed, with exit code {done.returncode}.",
                details=done.stderr.strip().splitlines()[-5:],
            )


def _run(command: Command) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=150, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
