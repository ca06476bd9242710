"""README.md tells the truth: its tour works as it is written, and every command and option it names exists."""

import re
import shlex
from pathlib import Path

import pytest

from orchestrator.settings import (
    ExecutorSettings,
    LocationSettings,
    RetentionSettings,
    RunQueueSettings,
    TagLimit,
    WorkspaceFile,
    load_settings,
)
from tests.readme import BLOCK, README, ROOT, carry_out, tour

TEXT = README.read_text()
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def plain(line):
    """A line without what differs from one day to the next."""
    line = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "DAY", re.sub(r"\b[0-9a-z]{12}\b", "RUN", line))
    line = re.sub(r"\d[\d:.,]*\s?(s|ms|m|h|d)\b( \d+[smh])?", "TIME", line)
    return re.sub(r" +", " ", re.sub(r"\d+", "N", re.sub(r"just now|TIME ago", "AGO", line)))


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    files, blocks = tour(TEXT)
    return list(
        zip(
            [command for block in blocks for command in block],
            [command for block in carry_out(files, blocks, tmp_path_factory.mktemp("shop")) for command in block],
            strict=True,
        )
    )


@pytest.mark.long
def test_every_command_of_the_tour_ends_as_it_is_shown_to_end(walked):
    for shown, done in walked:
        fails = bool(shown.output) and shown.output[0].startswith(("✗", "error"))
        assert (done.code != 0) == fails, (done.line, done.output)


def test_every_command_of_the_tour_begins_to_print_what_is_shown(walked):
    for shown, done in walked:
        assert [plain(line) for line in done.output[:1]] == [plain(line) for line in shown.output[:1]], done.line


def named_commands():
    """Every `orchestrator ...` in the README and the pages behind it, in a block or in a sentence."""
    found = re.findall(r"(?:^\$ |`)(orchestrator [^`\n]*)", "\n".join(map(Path.read_text, PAGES)), re.MULTILINE)
    return sorted({re.split(r" [|&>#] |  +|;", line)[0].strip() for line in found})


@pytest.mark.parametrize("line", named_commands())
def test_every_command_that_is_named_exists_with_its_options(line, bench):
    words = shlex.split(line)[1:]
    path = []
    for word in words:
        if not re.fullmatch(r"[a-z]+", word) or len(path) == 2:
            break
        path.append(word)
    helped = bench.here(*path[:1], "--help").ok()
    if len(path) == 2 and "\nCommands:" in helped.out:
        helped = bench.here(*path, "--help").ok()
    for option in re.findall(r"(?<=\s)--[a-z-]+", line):
        assert option in helped.out, f"{line}: no {option}"


def test_the_workspace_file_that_is_shown_is_one_and_leaves_out_nothing(tmp_path):
    shown = (ROOT / "docs" / "workspace-file.md").read_text()
    (text,) = [body for _, body in BLOCK.findall(shown) if body.startswith("# .orchestrator.yaml")]
    path = tmp_path / ".orchestrator.yaml"
    path.write_text(text)
    settings = load_settings(path)
    assert settings.retention == RetentionSettings()
    assert settings.executor == ExecutorSettings()
    assert settings.run_queue.max_concurrent_runs == RunQueueSettings().max_concurrent_runs
    (location,) = settings.locations
    assert location.max_growth_mb == LocationSettings(name="x", file="x.py").max_growth_mb
    for name in (*WorkspaceFile.__struct_fields__, *LocationSettings.__struct_fields__, *TagLimit.__struct_fields__):
        assert f"{name}:" in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_linked_is_there(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_module_that_a_page_names_is_there():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]:
        for path in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)`", page.read_text()):
            assert (ROOT / path).exists() or (ROOT / "orchestrator" / path).exists(), f"{page.name}: {path}"


def test_every_page_is_linked_from_the_first():
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in TEXT] == []


def test_the_first_commands_stand_alone_to_be_copied():
    """Each is a block of its own, with nothing but the command."""
    blocks = re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert blocks[:2] == ["python3 examples/start.py\n", "python3 tests/run.py\n"]
