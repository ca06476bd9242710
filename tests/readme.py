"""The tour of README.md, carried out: what a reader would type, in a directory of its own.

python3 tests/readme.py     carries it out and puts what was printed into README.md
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
# Where the reader is said to be; the real directory is a temporary one.
HOME = "/home/ada/shop"
HANGS_S = 60
FILES = {"python": "pipelines.py", "yaml": ".orchestrator.yaml"}

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Command:
    """One command line with what it printed and how it ended."""

    line: str
    output: list[str] = field(default_factory=list)
    code: int = 0


def tour(text):
    """(files to write, blocks of commands) of the section called A tour."""
    section = text[text.index("\n## A tour") : text.index("\n## How it works")]
    files, blocks = {}, []
    for language, body in BLOCK.findall(section):
        if language in FILES:
            files[FILES[language]] = body
        elif language == "console":
            blocks.append(commands(body))
    return files, blocks


def commands(body):
    found = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        else:
            found[-1].output.append(line)
    return found


def carry_out(files, blocks, directory):
    """The same blocks with what was really printed."""
    for name, content in files.items():
        (directory / name).write_text(content)
    try:
        return [[_run(command.line, directory) for command in block] for block in blocks]
    finally:
        _shell("orchestrator daemon stop --cancel", directory)


def _run(line, directory):
    done = _shell(line, directory)
    printed = done.stdout or done.stderr
    if "inbox/" in line:
        _wait_for_the_sensor(directory)
    shown = printed.replace(str(directory.resolve()), HOME).replace(str(directory), HOME)
    # On a busy machine a command says what it waits for; a reader of the tour does not see that.
    lines = [said for said in shown.rstrip("\n").splitlines() if not said.startswith("waiting")]
    return Command(line, lines, done.returncode)


def _shell(line, directory):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=directory,
        env={**environment, "PATH": path, "COLUMNS": "110", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )


def _wait_for_the_sensor(directory):
    """A reader sees the run some moments later; a program has to look until it is there."""
    deadline = time.monotonic() + HANGS_S
    while "SUCCESS" not in _shell("orchestrator runs list | grep new_files", directory).stdout:
        assert time.monotonic() < deadline, "the sensor never ran anything"
        time.sleep(0.05)


def written(text, blocks):
    """The text with these blocks in the place of its own."""
    section = text.index("\n## A tour")
    new = iter(blocks)

    def render(match):
        if match[1] != "console":
            return match[0]
        lines = [line for command in next(new) for line in (f"$ {command.line}", *command.output)]
        return "```console\n" + "".join(f"{line}\n".replace(" \n", "\n") for line in lines) + "```"

    end = text.index("\n## How it works")
    return text[:section] + BLOCK.sub(render, text[section:end]) + text[end:]


def main():
    text = README.read_text()
    files, blocks = tour(text)
    with tempfile.TemporaryDirectory(prefix="orchestrator-readme-") as directory:
        README.write_text(written(text, carry_out(files, blocks, Path(directory))))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".ci"))
    from bootstrap import environment

    python = environment("dev") / "python"
    if sys.prefix == sys.base_prefix:
        os.execv(python, [str(python), *sys.argv])
    main()
