"""Writes the unit of systemd and the agent of launchd.

Pure: paths and names in, text out. Knows nothing of where the files lie or who reads them.
"""

from __future__ import annotations

import glob
import hashlib
import plistlib
import re
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import NotPossible

# The loop turns at least every few seconds. One that has not for this long hangs, and is started again.
WATCHDOG_S = 120
# A daemon that ends by an error is started again after this long, however often.
_RESTART_S = 5
# Exit codes that another try would end with as well: wrong usage, a wrong workspace file.
_HOPELESS = "2 3"
# systemd refuses a program whose path has one of these. A shell starts it then.
_REFUSED_IN_PROGRAM = re.compile(r"['\"\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHELL_EXEC = 'exec "$0" "$@"'
_SHELL_WITH_ENVIRONMENT = 'f=$0; if [ -r "$f" ]; then set -a; . "$f"; set +a; fi; exec "$@"'


class Service(Struct, frozen=True):
    """A daemon that the system is to keep running. Paths are absolute; `path` is where steps find programs."""

    workspace: Path
    python: Path
    environment_file: Path
    path: str

    @property
    def name(self) -> str:
        """A name that only this workspace has, and that still says which it is."""
        readable = re.sub(r"[^a-z0-9]+", "-", self.workspace.parent.name.lower()).strip("-")[:40]
        digest = hashlib.sha256(str(self.workspace).encode(errors="surrogateescape")).hexdigest()[:8]
        return "-".join(filter(None, ("orchestrator", readable, digest)))

    @property
    def command(self) -> list[str]:
        return [
            *(str(self.python), "-P", "-m", "orchestrator", "--workspace", str(self.workspace)),
            *("daemon", "start", "--quiet"),
        ]


def systemd_unit(service: Service) -> str:
    """The user unit. Raises NotPossible when a path cannot be written in one.

    KillMode=process: only the daemon is told to stop. Steps that run go on, and the next daemon adopts them.
    OOMPolicy=continue: a step that runs out of memory is a failed attempt, and no reason to stop the daemon.
    """
    command = service.command
    if _REFUSED_IN_PROGRAM.search(command[0]):
        command = ["/bin/sh", "-c", _SHELL_EXEC, *command]
    return f"""\
# Made by `orchestrator daemon install`, and removed by `orchestrator daemon uninstall`.
[Unit]
Description=orchestrator daemon of {_plain(service.workspace.parent)}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=:{" ".join(_quoted(word) for word in command)}
WorkingDirectory={_plain(service.workspace.parent)}
Environment={_quoted(f"PATH={service.path}")}
EnvironmentFile=-{_plain(Path(glob.escape(str(service.environment_file))))}
Restart=on-failure
RestartSec={_RESTART_S}
RestartPreventExitStatus={_HOPELESS}
WatchdogSec={WATCHDOG_S}
KillMode=process
OOMPolicy=continue
TimeoutStartSec=600
TimeoutStopSec=120

[Install]
WantedBy=default.target
"""


def launchd_agent(service: Service, log: Path) -> bytes:
    """The property list of a launch agent; `log` takes what the daemon says before it has a log of its own.

    AbandonProcessGroup: steps that run outlive the daemon, and the next one adopts them.
    """
    agent = {
        "Label": service.name,
        "ProgramArguments": [
            *("/bin/sh", "-c", _SHELL_WITH_ENVIRONMENT, str(service.environment_file)),
            *service.command,
        ],
        "WorkingDirectory": str(service.workspace.parent),
        "EnvironmentVariables": {"PATH": service.path},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "AbandonProcessGroup": True,
        "ThrottleInterval": _RESTART_S,
        "StandardErrorPath": str(log),
    }
    return plistlib.dumps(agent)


def environment_file(variables: dict[str, list[str]], values: dict[str, str]) -> str:
    """The file that gives the daemon its variables: those with a value, and the others to be filled in.

    `variables` are names, each with what needs it. A shell reads this format too.
    """
    lines = ["# Environment variables of the orchestrator daemon, one NAME='value' a line. Keep this file private."]
    for name, users in sorted(variables.items()):
        lines.append(f"# {name}: for {', '.join(users)}")
        lines.append(f"{name}={_shell_quoted(values[name])}" if name in values else f"#{name}=")
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    """A word of a command line, as systemd takes it apart again. Environment variables are not expanded (`:`)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped) + '"'


def _plain(path: Path) -> str:
    """A path where systemd knows no quotes: spaces are as good as any other character, except at the end."""
    text = str(path)
    if _CONTROL.search(text) or text != text.strip() or text.endswith("\\"):
        raise NotPossible(
            f"{text!r} cannot be written in a systemd unit.", hint="Rename the directory, or start the daemon by hand."
        )
    return text.replace("%", "%%")


def _shell_quoted(value: str) -> str:
    """A value in quotes that systemd and a shell both undo in the same way."""
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
