"""Commands as processes that have the program imported already: what most of the suite's thousands of commands need.

Such a command is a process of its own, with its own memory, files and signals, and it ends as the interpreter ends.
It begins as a copy of a process that waits with everything imported, which saves four fifths of the processor time of
a short command. What depends on how Python starts is not for this: see `fits`.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

# What Python or a library reads when it starts.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC", "ORCHESTRATOR_CRASH")
# What is imported by hand-over to others, or does something when it is imported.
_LEFT_OUT = ("orchestrator.__main__", "orchestrator.worker", "orchestrator.cli.template")


# What the process is started with, whatever a test sets later for the commands that it starts.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def fits(environment):
    """Whether a command with this environment can be a copy: nothing differs in it that is read at a start."""
    names = {name for name in {*environment, *_ENVIRONMENT} if name.startswith(_READ_AT_START)}
    return all(environment.get(name) == _ENVIRONMENT.get(name) for name in names)


class Warm:
    """Has commands started by one waiting process, which ends with this one."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd="/", env=_ENVIRONMENT
            )
        self._control, self._lock = ours, threading.Lock()
        atexit.register(self._end)

    def _end(self):
        self._control.close()
        self._process.wait()

    def run(self, arguments, cwd, environment, timeout):
        """The exit code (negative: minus the signal that ended it), stdout and stderr of a command, once every process
        that holds these streams has closed them. Raises TimeoutExpired, as subprocess.run does."""
        with ExitStack() as opened:
            outputs = []
            ours, theirs = socket.socketpair()
            replies = opened.enter_context(ours).makefile("rb")
            with ExitStack() as handed_over:
                descriptors = [handed_over.enter_context(theirs).fileno()]
                for _ in range(2):
                    reader, writer = os.pipe()
                    descriptors.append(writer)
                    handed_over.callback(os.close, writer)
                    outputs.append(_Output(reader))
                with self._lock:
                    socket.send_fds(self._control, [b"+"], descriptors)
            ours.sendall(json.dumps([[*map(str, arguments)], str(cwd), environment]).encode() + b"\n")
            pid = int(replies.readline())
            if not all(output.is_read(timeout) for output in outputs):
                os.kill(pid, 9)
                raise subprocess.TimeoutExpired(arguments, timeout)
            return int(replies.readline()), *(output.text for output in outputs)


class _Output(threading.Thread):
    """What comes out of a pipe, up to its end."""

    def __init__(self, descriptor):
        super().__init__(daemon=True)
        self._file = open(descriptor, "rb")  # noqa: SIM115 (closed where it is read)
        self.text = b""
        self.start()

    def run(self):
        with self._file:
            self.text = self._file.read()

    def is_read(self, timeout):
        self.join(timeout)
        return not self.is_alive()


def _import_everything():
    import orchestrator

    for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
        if not module.name.startswith(_LEFT_OUT):
            importlib.import_module(module.name)


def _serve(control):
    """Gives each command a process that waits for it, as a shell does. Returns in the process of a command."""
    while True:
        byte, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        if not byte:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _be_the_shell(*descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _reap()


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _be_the_shell(replies, out, err):
    """Starts the command, waits for it and reports; returns only in the command."""
    with socket.socket(fileno=replies) as connection:
        with connection.makefile("rb") as requests:
            arguments, cwd, environment = json.loads(requests.readline())
        pid = os.fork()
        if pid:
            os.close(out)
            os.close(err)
            connection.sendall(b"%d\n" % pid)
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    # As Python opens them when they are pipes.
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(Path(cwd) / "orchestrator"), *arguments]
    sys.path.insert(0, cwd)


if __name__ == "__main__":
    sys.path.pop(0)  # this directory
    _import_everything()
    from orchestrator.__main__ import main

    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    main()
