"""Help: every command has it, with an example that works, and what is mistyped is nearly found."""

import shlex

import pytest
import typer

from orchestrator.cli.app import COMMANDS, app


def commands():
    """(words, command) of every command there is."""
    group = typer.main.get_command(app)
    for name in COMMANDS:
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from (((name, inner), command.commands[inner]) for inner in command.commands)
        else:
            yield (name,), command


ALL = list(commands())


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_every_command_says_what_it_does_and_gives_an_example(words, command):
    assert command.help
    assert command.epilog.startswith(f"Example: orchestrator {' '.join(words)}")


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_every_option_is_explained(words, command):
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_the_options_in_an_example_exist(words, command):
    example = command.epilog.removeprefix("Example: ").split("\n")[0]
    example = example.split("&&")[0].split("||")[0].split(" > ")[0].split(" | ")[0]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in shlex.split(example) if word.startswith("-")} <= known


def test_every_command_that_shows_something_can_do_so_as_json():
    silent = {
        ("init",),
        ("completion",),
        ("pipeline", "config"),
        ("runs", "cancel"),
        ("runs", "delete"),
        ("asset", "wipe"),
    }
    silent |= {("state", "restore"), ("state", "rebuild")}
    silent |= {(noun, verb) for noun in ("schedule", "sensor") for verb in ("start", "stop", "forget", "cursor")}
    silent |= {("sensor", "retry"), ("sensor", "acknowledge"), ("runs", "acknowledge")}
    silent |= {("daemon", verb) for verb in ("start", "stop", "tick", "logs")}
    for words, command in ALL:
        has_json = any("--json" in parameter.opts for parameter in command.params)
        assert has_json or words in silent, words


def test_a_mistyped_command_is_nearly_found(bench):
    assert "Did you mean" in bench("pipelin", "list").err
    assert "Did you mean" in bench("runs", "lst").err


def test_help_needs_no_workspace_and_works_as_a_module(bench):
    assert "Usage: orchestrator" in bench("--help").ok().out
    assert "Example: orchestrator run" in bench("run", "--help").ok().out
    assert bench("--version").ok().out.startswith("orchestrator ")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param("orchestrator pip", ["pipeline"], id="commands"),
        pytest.param("orchestrator run he", ["hello"], id="pipelines"),
        pytest.param("orchestrator runs show la", ["last"], id="runs"),
        pytest.param("orchestrator asset show he", ["hello/longest_words"], id="assets"),
        pytest.param("orchestrator run --pre", ["--preset"], id="options"),
    ],
)
def test_names_complete_in_the_shell(bench, words, found):
    bench("init").ok()
    bench("run", "hello").ok()
    completed = bench(
        _ORCHESTRATOR_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert completed.out.split() == found
