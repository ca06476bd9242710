"""Where the contract of attempts is tried: over files with a worker in a process of its own, and in memory."""

import json
import subprocess
import sys

from orchestrator.attempts.channel import AlreadyClaimed
from orchestrator.attempts.files import FileChannels, open_channel
from orchestrator.attempts.memory import MemoryChannels
from orchestrator.model.events import encode_line
from orchestrator.state_dir import prepare

WORKER = """
import json, os, signal, sys
from orchestrator.attempts.channel import AlreadyClaimed
from orchestrator.attempts.files import open_channel
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
channel = open_channel(sys.argv[1])
try:
    claim = channel.claim()
except AlreadyClaimed:
    print("refused", flush=True)
    sys.exit()
print("claimed", flush=True)
for line in sys.stdin:
    what, argument = json.loads(line)
    if what == "append":
        claim.append(bytes.fromhex(argument))
    elif what == "print":
        with channel.output().stdout.open("ab") as file:
            file.write(argument.encode())
    else:
        getattr(claim, what)()
    print("done", flush=True)
"""


class FileWorker:
    """A process that makes an attempt, step by step as the test says."""

    def __init__(self, address, *arguments):
        self.channel = open_channel(address)
        command = [sys.executable, "-c", WORKER, address, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self.process.pid
        self.is_refused = self.process.stdout.readline() == "refused\n"

    def append(self, *events):
        for event in events:
            self._do("append", encode_line(event).hex())

    def append_raw(self, line):
        self._do("append", line.hex())

    def print(self, text):
        self._do("print", text)

    def finish(self):
        self._do("finish")

    def die(self):
        self.process.kill()
        self.process.wait()

    def was_asked_to_stop(self):
        return self.process.wait() == -15

    def _do(self, what, argument=""):
        self.process.stdin.write(json.dumps([what, argument]) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


class MemoryWorker:
    pid = 1

    def __init__(self, channels, address, *arguments):
        self.channel = channels.open(address)
        self._attempt = channels.attempts[address]
        self._asked = []
        self._attempt.on_stop = lambda: self._asked.append(True)
        self.is_refused = False
        try:
            self._claim = self.channel.claim()
        except AlreadyClaimed:
            self.is_refused = True

    def append(self, *events):
        for event in events:
            self._claim.append(encode_line(event))

    def append_raw(self, line):
        self._claim.append(line)

    def print(self, text):
        self._attempt.printed["stdout"] = self._attempt.printed.get("stdout", b"") + text.encode()

    def finish(self):
        self._claim.finish()

    def die(self):
        self._claim.release()

    def was_asked_to_stop(self):
        return bool(self._asked)


class Files:
    def __init__(self, path):
        self.channels = FileChannels(prepare(path / "state"))
        self.started = []

    def start(self, address, *arguments):
        self.started.append(FileWorker(address, *arguments))
        return self.started[-1]

    def close(self):
        for worker in self.started:
            worker.die()
            worker.process.stdin.close()
            worker.process.stdout.close()


class Memory:
    def __init__(self, path):
        self.channels = MemoryChannels()

    def start(self, address, *arguments):
        return MemoryWorker(self.channels, address, *arguments)

    def close(self):
        pass
