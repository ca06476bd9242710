"""The daemon under systemd and launchd: the texts they are given, what is written where, and what is left to type."""

import json
import os
import plistlib
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.daemon.systemd_notify import Supervisor
from orchestrator.errors import NotPossible
from orchestrator.service.workspace import Workspace
from orchestrator.service_manager.install import installer_for, variables_of
from orchestrator.service_manager.service import Service, environment_file, launchd_agent, systemd_unit
from orchestrator.service_manager.systems import Systemd
from orchestrator.settings import load_settings

ODD_NAMES = ["plain", "with space", "100%h", "$HOME", 'Bob\'s "data" \\d', "süß [1]*?", "a;b -c #d"]


def service(directory="/srv/sales", **changes):
    directory = Path(directory)
    known = {
        "workspace": directory / ".orchestrator.yaml",
        "python": directory / ".venv/bin/python",
        "environment_file": Path("/home/me/.config/orchestrator/x.env"),
        "path": "/usr/bin:/bin",
    }
    return Service(**{**known, **changes})


def line(unit, key):
    return next(line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}="))


class TestUnit:
    def test_the_name_says_which_workspace_it_is_and_belongs_to_no_other(self):
        assert service("/srv/Sales Data").name.startswith("orchestrator-sales-data-")
        assert service("/srv/sales").name != service("/home/sales").name
        assert service("/srv/sales").name == service("/srv/sales").name
        assert len(service("/srv/" + "x" * 300).name) < 100
        assert service("/srv/日本").name.startswith("orchestrator-")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("Type", "notify"),
            ("KillMode", "process"),
            ("OOMPolicy", "continue"),
            ("Restart", "on-failure"),
            ("WorkingDirectory", "/srv/sales"),
            ("Environment", '"PATH=/usr/bin:/bin"'),
            ("EnvironmentFile", "-/home/me/.config/orchestrator/x.env"),
            ("WantedBy", "default.target"),
        ],
    )
    def test_it_says(self, key, value):
        assert line(systemd_unit(service()), key) == value

    def test_the_command_names_interpreter_and_workspace_absolutely(self):
        command = line(systemd_unit(service()), "ExecStart")
        assert shlex.split(command.removeprefix(":")) == [
            *("/srv/sales/.venv/bin/python", "-P", "-m", "orchestrator"),
            *("--workspace", "/srv/sales/.orchestrator.yaml", "daemon", "start", "--quiet"),
        ]

    @pytest.mark.parametrize(
        ("directory", "written"),
        [
            ("/a b", '"/a b/.orchestrator.yaml"'),
            ("/50%", '"/50%%/.orchestrator.yaml"'),
            ("/$HOME", '"/$HOME/.orchestrator.yaml"'),  # the colon before the command switches variables off
            ('/a"b', '"/a\\"b/.orchestrator.yaml"'),
            ("/a\\b", '"/a\\\\b/.orchestrator.yaml"'),
        ],
    )
    def test_paths_are_escaped_in_the_command(self, directory, written):
        assert written in line(systemd_unit(service(directory)), "ExecStart")

    def test_where_there_are_no_quotes_only_the_percent_sign_is_escaped(self):
        assert line(systemd_unit(service("/a b's 50%")), "WorkingDirectory") == "/a b's 50%%"

    @pytest.mark.parametrize("directory", ["/a\nb", "/ends in space ", "/ends in backslash\\"])
    def test_a_path_that_no_unit_can_hold_is_refused(self, directory):
        with pytest.raises(NotPossible, match="cannot be written in a systemd unit"):
            systemd_unit(service(directory))

    def test_an_interpreter_that_systemd_would_refuse_is_started_by_a_shell(self):
        command = line(systemd_unit(service("/Bob's")), "ExecStart")
        assert command.startswith(':"/bin/sh" "-c" "exec \\"$0\\" \\"$@\\"" "/Bob\'s/.venv/bin/python"')

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_systemd_finds_nothing_wrong_with_it(self, tmp_path, name):
        directory = tmp_path / name
        directory.mkdir()
        python = directory / "python"
        python.symlink_to(sys.executable)
        one = service(directory, python=python, environment_file=directory / "x.env")
        unit = tmp_path / f"{one.name}.service"
        unit.write_text(systemd_unit(one))
        assert self.verify(unit) == ""

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
    def test_systemd_does_find_a_mistake(self, tmp_path):
        unit = tmp_path / "orchestrator-wrong.service"
        unit.write_text(systemd_unit(service(tmp_path, python=Path(sys.executable))).replace("KillMode", "KilMode"))
        assert "KilMode" in self.verify(unit)

    def verify(self, unit):
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(unit.parent)}
        done = subprocess.run(
            ["systemd-analyze", "--user", "verify", unit], env=environment, capture_output=True, text=True
        )
        return done.stdout + done.stderr


class TestAgent:
    def test_it_is_a_property_list_that_keeps_steps_alive(self):
        agent = plistlib.loads(launchd_agent(service("/Users/me/a & <b>"), Path("/Users/me/x.log")))
        assert agent["ProgramArguments"][-9:] == service("/Users/me/a & <b>").command
        assert agent["AbandonProcessGroup"] is True
        assert agent["KeepAlive"] == {"SuccessfulExit": False}
        assert agent["RunAtLoad"] is True
        assert agent["WorkingDirectory"] == "/Users/me/a & <b>"
        assert agent["StandardErrorPath"] == "/Users/me/x.log"

    @pytest.mark.parametrize("exists", [True, False])
    def test_its_command_reads_the_environment_file_if_there_is_one(self, tmp_path, exists):
        variables = tmp_path / "x.env"
        if exists:
            variables.write_text("#GONE=\nTOKEN='a b'\n")
        arguments = plistlib.loads(launchd_agent(service(environment_file=variables), tmp_path / "log"))
        command = arguments["ProgramArguments"]
        assert command[:2] == ["/bin/sh", "-c"]
        done = subprocess.run([*command[:4], "env"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
        assert ("TOKEN=a b" in done.stdout.splitlines()) is exists


class TestEnvironmentFile:
    def test_a_variable_without_a_value_is_left_to_be_filled_in(self):
        assert environment_file({"TOKEN": ["location main"]}, {}).splitlines()[1:] == [
            "# TOKEN: for location main",
            "#TOKEN=",
        ]

    @pytest.mark.parametrize(
        "value", ["plain", "a b", "it's", '"', "$HOME `id`", "back\\slash", "it's \\ \"$x`", "", "ü"]
    )
    def test_a_shell_reads_back_the_value(self, tmp_path, value):
        path = tmp_path / "x.env"
        path.write_text(environment_file({"TOKEN": ["x"]}, {"TOKEN": value}))
        script = 'set -a; . "$0"; printf %s "$TOKEN"'
        assert subprocess.run(["/bin/sh", "-c", script, path], capture_output=True, text=True).stdout == value

    def test_the_variables_are_those_of_the_workspace_file(self, tmp_path):
        path = tmp_path / ".orchestrator.yaml"
        path.write_text(
            "locations:\n"
            "  - {name: a, file: a.py, env: {X: {env: TOKEN}, Y: plain, Z: {env: TOKEN}}}\n"
            "  - {name: b, file: b.py, env: {X: {env: TOKEN}, W: {env: URL}}}\n"
        )
        assert variables_of(load_settings(path)) == {"TOKEN": ["location a", "location b"], "URL": ["location b"]}


SYSTEMCTL = """#!/bin/sh
echo "$(basename "$0") $*" >> "$HOME/said"
case "$*" in
    *MainPID*) cat "$HOME/main-pid" 2>/dev/null || echo 0 ;;
    *Linger*) echo yes ;;
esac
exit "$(cat "$HOME/systemctl-code" 2>/dev/null || echo 0)"
"""


class TestInstalling:
    @pytest.fixture
    def home(self, bench, tmp_path_factory):
        """A home directory, and a systemctl that only writes down what it was told."""
        home = tmp_path_factory.mktemp("home")
        for name in ("systemctl", "loginctl"):
            program = home / name
            program.write_text(SYSTEMCTL)
            program.chmod(0o755)
        bench.write("")
        bench.settings("locations: [{name: main, file: pipelines.py, env: {A: {env: TOKEN}}}]")
        self.bench = bench
        return home

    def command(self, home, *arguments, **more):
        path = f"{home}:{os.environ['PATH']}"
        return self.bench("daemon", *arguments, HOME=home, PATH=path, XDG_CONFIG_HOME="", **more)

    def without_systemd(self, home):
        (home / "systemctl-code").write_text("1")

    def said(self, home):
        return (home / "said").read_text().splitlines() if (home / "said").exists() else []

    def files(self, home):
        return sorted(path for path in (home / ".config").rglob("*") if path.is_file())

    @pytest.mark.parametrize("arguments", [[], ["--save-environment"]])
    def test_where_there_is_no_systemctl_it_says_so_and_what_to_do(self, home, tmp_path_factory, arguments):
        empty = tmp_path_factory.mktemp("empty")
        done = self.bench("daemon", "install", *arguments, HOME=home, PATH=empty, XDG_CONFIG_HOME="").ok()
        assert "There is no systemctl here, so nothing reads this file." in done.out
        assert "orchestrator --workspace " in done.out
        assert "daemon start --detach" in done.out

    def test_where_systemd_does_not_run_it_says_so(self, tmp_path, monkeypatch):
        (tmp_path / "systemctl").touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert Systemd(tmp_path, tmp_path / "none").absence() == "systemd does not run here"
        assert Systemd(tmp_path, tmp_path).absence() is None
        monkeypatch.setenv("PATH", "")
        assert Systemd(tmp_path, tmp_path).absence() == "There is no systemctl here"

    def test_print_shows_the_unit_and_writes_nothing(self, home):
        shown = self.command(home, "install", "--print").ok()
        assert shown.out.startswith("# Made by `orchestrator daemon install`")
        assert not (home / ".config").exists()
        assert self.said(home) == []

    def test_it_is_enabled_and_started(self, home):
        done = self.command(home, "install", "--save-environment", TOKEN="secret").ok()
        unit = next(path for path in self.files(home) if path.suffix == ".service")
        assert f"installed {unit}" in done.out
        commands = [said for said in self.said(home) if "show" not in said]
        assert commands == [
            "systemctl --user daemon-reload",
            f"systemctl --user enable {unit.stem}",
            f"systemctl --user restart {unit.stem}",
        ]
        assert "enable-linger" not in done.out

    def test_values_lie_in_a_file_that_only_its_user_can_read(self, home):
        self.command(home, "install", "--save-environment", TOKEN="s'3cret").ok()
        variables = next(path for path in self.files(home) if path.suffix == ".env")
        assert stat.S_IMODE(variables.stat().st_mode) == 0o600
        assert stat.S_IMODE(variables.parent.stat().st_mode) == 0o700
        assert 'TOKEN="s\'3cret"' in variables.read_text()
        unit = next(path for path in self.files(home) if path.suffix == ".service")
        assert "s'3cret" not in unit.read_text()
        assert f"EnvironmentFile=-{variables}" in unit.read_text()

    def test_a_variable_without_a_value_is_named_and_nothing_is_started(self, home):
        done = self.command(home, "install", TOKEN="only in this shell").ok()
        variables = next(path for path in self.files(home) if path.suffix == ".env")
        assert "The workspace asks for TOKEN." in done.out
        assert str(variables) in done.out
        assert "only in this shell" not in variables.read_text()
        assert not any("restart" in said for said in self.said(home))
        assert "    systemctl --user restart orchestrator-" in done.out

    def test_what_the_user_wrote_into_it_stays(self, home):
        self.command(home, "install").ok()
        variables = next(path for path in self.files(home) if path.suffix == ".env")
        variables.write_text("export TOKEN=mine\n")
        self.command(home, "install", "--save-environment", TOKEN="other").ok()
        assert variables.read_text() == "export TOKEN=mine\n"
        assert "kept" in self.command(home, "uninstall").ok().out
        assert variables.exists()

    def test_installing_again_changes_nothing_and_restarts_nothing_that_runs(self, home):
        self.command(home, "install", "--save-environment", TOKEN="x").ok()
        before = {path: path.read_bytes() for path in self.files(home)}
        (home / "said").unlink()
        (home / "main-pid").write_text("4711")
        self.command(home, "install", "--save-environment", TOKEN="y").ok()
        assert {path: path.read_bytes() for path in self.files(home)} == before
        assert not any("restart" in said for said in self.said(home))

    def test_without_a_session_of_systemd_the_commands_to_type_are_printed(self, home):
        self.without_systemd(home)
        done = self.command(home, "install", "--save-environment", TOKEN="x").ok()
        unit = next(path for path in self.files(home) if path.suffix == ".service")
        assert f"    systemctl --user daemon-reload\n    systemctl --user enable --now {unit.stem}\n" in done.out
        assert "    loginctl enable-linger" in done.out

    def test_a_daemon_that_was_started_by_hand_is_not_disturbed(self, home):
        daemon = self.bench.start("daemon", "start", TOKEN="x")
        self.bench.wait_until(lambda: self.bench.here("daemon", "status").code == 0, "a daemon that answers")
        done = self.command(home, "install", "--save-environment", TOKEN="x").ok()
        assert f"by hand (process {daemon.pid}) runs already" in done.out
        assert not any("restart" in said for said in self.said(home))
        gone = self.command(home, "uninstall").ok()
        assert f"by hand (process {daemon.pid}) goes on" in gone.out
        self.bench("daemon", "stop").ok()

    def test_uninstalling_stops_it_and_leaves_nothing(self, home):
        self.command(home, "install").ok()
        name = next(path for path in self.files(home) if path.suffix == ".service").stem
        (home / "said").unlink()
        assert "removed" in self.command(home, "uninstall").ok().out
        assert self.files(home) == []
        assert [said for said in self.said(home) if "show-" not in said] == [
            f"systemctl --user disable --now {name}",
            "systemctl --user daemon-reload",
        ]

    def test_uninstalling_without_a_session_names_what_may_still_run(self, home):
        self.without_systemd(home)
        self.command(home, "install").ok()
        unit = next(path for path in self.files(home) if path.suffix == ".service")
        wanted = unit.parent / "default.target.wants" / unit.name
        wanted.parent.mkdir()
        wanted.symlink_to(unit)
        done = self.command(home, "uninstall").ok()
        assert f"    systemctl --user stop {unit.stem}\n    systemctl --user daemon-reload\n" in done.out
        assert not wanted.is_symlink()

    def test_uninstalling_what_is_not_installed_is_not_possible(self, home):
        done = self.command(home, "uninstall")
        assert done.code == 4
        assert "No service is installed for" in done.err

    def test_what_is_left_to_do_is_there_as_json(self, home):
        self.without_systemd(home)
        done = json.loads(self.command(home, "install", "--json").ok().out)
        assert done["missing"] == ["TOKEN"]
        assert done["to_type"][1].startswith("systemctl --user enable --now orchestrator-")
        assert json.loads(self.command(home, "uninstall", "--json").ok().out)["file"] == done["file"]

    def test_a_command_of_systemd_that_fails_is_quoted_with_what_it_said(self, home):
        program = home / "systemctl"
        program.write_text('#!/bin/sh\ncase "$*" in *enable*) echo "no such thing" >&2; exit 5;; esac\n')
        done = self.command(home, "install")
        assert done.code == 7
        assert "enable orchestrator-" in done.err
        assert "has failed, with exit code 5" in done.err
        assert "no such thing" in done.err

    def test_on_macos_an_agent_is_written(self, home):
        found = Workspace(load_settings(self.bench.path / ".orchestrator.yaml"))
        installer = installer_for(found, {"HOME": str(home), "PATH": "/bin"}, "darwin")
        done = installer.install()
        agent = home / "Library" / "LaunchAgents" / f"{installer.service.name}.plist"
        assert done.file == str(agent)
        assert plistlib.loads(agent.read_bytes())["Label"] == installer.service.name
        assert done.to_type == (f"launchctl bootstrap gui/{os.getuid()} {shlex.quote(done.file)}",)
        assert installer.uninstall().to_type == (f"launchctl bootout gui/{os.getuid()}/{installer.service.name}",)


class TestSupervision:
    @pytest.fixture
    def ear(self, tmp_path):
        """systemd's end of the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(str(tmp_path / "notify"))
            ear.settimeout(20)
            yield ear

    def test_the_daemon_tells_that_it_answers_turns_and_ends(self, bench, ear, tmp_path):
        bench.write("")
        bench.start("daemon", "start", NOTIFY_SOCKET=tmp_path / "notify", WATCHDOG_USEC=1)
        assert ear.recv(100) == b"READY=1"
        assert bench("daemon", "status").code == 0
        assert ear.recv(100) == b"WATCHDOG=1"
        bench("daemon", "stop").ok()
        while (told := ear.recv(100)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1"

    def test_what_the_daemon_starts_cannot_speak_for_it(self):
        environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
        Supervisor(environment).ready()
        assert environment == {"PATH": "/bin"}

    def test_turning_is_told_now_and_then_only(self, ear, tmp_path):
        supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for now in (0.0, 1.0, 4.9, 5.0, 6.0, 10.0):
            supervisor.turned(now)
        supervisor.stopping()
        told = []
        while (message := ear.recv(100)) != b"STOPPING=1":
            told.append(message)
        assert told == [b"WATCHDOG=1"] * 3

    def test_without_a_supervisor_nothing_is_told(self):
        environment = {"WATCHDOG_USEC": "1", "PATH": "/bin"}
        Supervisor(environment).ready()
        assert environment == {"PATH": "/bin"}, "its children must not speak to a supervisor either"
