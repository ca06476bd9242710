"""A week in minutes: a daemon under load, and everything that happens to a machine in a week happening to it.

The first part is the storm: whatever is running is killed or suspended at random, files are edited and broken, the
disk is full for a while. The second part is the calm: the same load under one daemon that lives on, so that growth can
be told from starting anew.
"""

import os
import random
import shutil
import signal
import subprocess
import time

from .measures import descendants, sample
from .workspace import BROKEN_SOURCE, EDITED_SOURCE, SENSORS


class Week:
    """Runs the load, does the damage and keeps the samples. Everything random comes from one seed."""

    def __init__(self, bench, seconds, seed, full_disk):
        self.bench = bench
        self.seconds = seconds
        self.random = random.Random(seed)
        self.full_disk = full_disk
        self.daemon = None
        self.dropped = []
        self.happened = []
        self.samples = []
        self.backups = []

    def live(self):
        """The whole week, from the first start of the daemon to the moment when all work is done."""
        self._start()
        # Until there is a state, there is nothing that trouble could be made with.
        self.bench.wait_until(lambda: self.bench.here("daemon", "status").code == 0, "a daemon that answers")
        began = time.monotonic()
        storm, end = began + self.seconds * 0.6, began + self.seconds
        self._pass_time(storm, self._trouble())
        self._mend()
        self._pass_time(end, [self.edit, self.back_up, self.look])
        self._mend()

    def _pass_time(self, until, events):
        pause = max(0.7, self.seconds / 300)
        while time.monotonic() < until:
            self._drop()
            event = self.random.choice(events)
            event()
            self.happened.append(event.__name__)
            time.sleep(self.random.uniform(0.2, 1) * pause)
            self._revive()
            if (found := sample(self.daemon.pid)) is not None:
                self.samples.append((time.monotonic(), self.daemon.pid, found))

    def _trouble(self):
        some = [self.kill_daemon, self.kill_something, self.kill_something, self.kill_something, self.suspend]
        some += [self.edit, self.break_code, self.back_up, self.look]
        return [*some, self.fill_disk] if self.full_disk else some

    # --- what happens ---

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()

    def kill_something(self):
        """A location, a step, an evaluator: whatever is found."""
        found = [*descendants(self.daemon.pid)]
        if found:
            self._signal(self.random.choice(found), signal.SIGKILL)

    def suspend(self):
        """The daemon or something below it stands still, as when a laptop is closed."""
        pid = self.random.choice([self.daemon.pid, *descendants(self.daemon.pid)])
        self._signal(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 3))
        self._signal(pid, signal.SIGCONT)

    def edit(self):
        (self.bench.path / "edited.py").write_text(f"{EDITED_SOURCE}\n# {self.random.random()}\n")
        for file in ("schedules.py", "sensors.py"):
            os.utime(self.bench.path / file)

    def break_code(self):
        (self.bench.path / "edited.py").write_text(BROKEN_SOURCE)

    def fill_disk(self):
        """Nothing more can be written to the state for a moment."""
        filler = self.bench.state / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    os.write(file.fileno(), bytes(1 << 20))
            except OSError:
                pass
        time.sleep(self.random.uniform(0.5, 3))
        filler.unlink()

    def back_up(self):
        done = self.bench("state", "backup")
        if done.code == 0:
            self.backups = sorted((self.bench.state / "backups").glob("*manual*.duckdb"))

    def look(self):
        """What an operator types all day. It may be refused while the daemon is down, and never hangs."""
        self.bench(*self.random.choice([("runs", "list"), ("status",), ("schedule", "list"), ("sensor", "ticks")]))

    # --- keeping it going ---

    def _drop(self):
        """A file for some sensor, as if somebody had delivered it."""
        for _ in range(self.random.randint(0, 2)):
            number, name = self.random.randrange(SENSORS), f"file-{len(self.dropped)}"
            (self.bench.path / "inbox" / str(number) / name).write_text("")
            self.dropped.append(f"sensor_{number}@{name}")

    def _start(self):
        with (self.bench.path / "daemon.out").open("ab") as output:
            self.daemon = subprocess.Popen(
                self.bench.command("daemon", "start"), cwd=self.bench.path, stdout=output, stderr=output
            )

    def _revive(self):
        """What systemd or launchd would do."""
        if self.daemon.poll() is not None:
            self.happened.append(f"started again after {self.daemon.returncode}")
            self._start()

    def _mend(self):
        """The end of all trouble that does not pass by itself."""
        (self.bench.path / "edited.py").write_text(EDITED_SOURCE)
        self._revive()

    def _signal(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def stop(self):
        self.bench("daemon", "stop").ok()
        assert self.daemon.wait(timeout=60) == 0

    def clean_up(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()


class Disk:
    """A small file system of its own for the state, if this user may mount one."""

    def __init__(self, path, megabytes):
        self.path = path
        path.mkdir(mode=0o700)
        options = f"size={megabytes}m,mode=700"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        self.mounted = bool(
            shutil.which("mount") and os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
        )

    def release(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=True)
