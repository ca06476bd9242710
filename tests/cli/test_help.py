"""Help: every command has it, with an example that works, and what is mistyped is nearly found."""

import re
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


def test_a_mistyped_command_is_nearly_found(bench):
    assert "Did you mean" in bench("pipelin", "list").err
    assert "Did you mean" in bench("runs", "lst").err


def test_help_needs_no_workspace_and_works_as_a_module(bench):
    assert "Usage: orchestrator" in bench("--help").ok().out
    assert "Example: orchestrator run" in bench("run", "--help").ok().out
    assert bench("--version").ok().out.startswith("orchestrator ")


def helped(words, command):
    group = typer.main.get_command(app)
    context = command.make_context(words[-1], [], parent=typer.Context(group), resilient_parsing=True)
    return command.get_help(context)


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
class TestTheWordsOfHelp:
    def test_values_are_named_in_one_way(self, words, command):
        """NAME, [NAME], NAME..., and no type of Python."""
        text = helped(words, command)
        usage = " ".join(text.partition("\n\n")[0].split())
        assert not re.search(r"[{}<>]|\[\[|\]\]", usage), usage
        assert not re.search(r"<\w|\bstr\b", text.partition("Example:")[0])
        for parameter in command.params:
            if parameter.param_type_name == "argument" or not parameter.is_flag:
                assert parameter.metavar, parameter.name
                assert parameter.metavar not in ("TEXT...", ""), parameter.name
                assert not parameter.metavar.startswith("["), parameter.name

    def test_an_option_that_repeats_says_so(self, words, command):
        text = " ".join(helped(words, command).split())
        for parameter in command.params:
            if getattr(parameter, "multiple", False):
                option = text.partition(f" {parameter.opts[0]} ")[2] or text.partition(f"{parameter.opts[0]},")[2]
                assert "repeated" in re.split(r"  -| -[-\w]", option, maxsplit=1)[0], parameter.opts

    def test_a_run_may_be_last(self, words, command):
        for parameter in command.params:
            if parameter.metavar == "RUN":
                assert "`last`" in parameter.help

    def test_a_limit_of_zero_means_all_and_the_default_is_one(self, words, command):
        for parameter in command.params:
            if parameter.name == "limit":
                assert (parameter.default, "0 for all" in parameter.help) == (20, True)

    def test_the_workspace_may_be_named_behind_it(self, words, command):
        assert any("--workspace" in parameter.opts for parameter in command.params)


def test_a_workspace_is_taken_before_the_command_and_behind_it(bench, tmp_path_factory):
    bench.write("")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for words in (["-w", bench.path, "config", "show"], ["config", "show", "--workspace", bench.path]):
        inside, bench.path = bench.path, elsewhere
        done = bench.here(*words).ok()
        bench.path = inside
        assert str(inside) in done.out


def test_a_limit_of_zero_is_taken(bench):
    bench.write("")
    for command in (["runs", "list"], ["schedule", "ticks"], ["sensor", "ticks"], ["sensor", "logs"]):
        bench.here(*command, "--limit", "0").ok()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs", "list", "--no-such"], "error: No such option: --no-such"),
        (["runs", "lst"], "error: No such command 'lst'. Did you mean 'list'?"),
        (["runs", "show"], "error: Missing argument 'RUN'."),
        (["runs", "list", "--limit", "many"], "error: Invalid value for '--limit'"),
        (["runs", "list", "--limit", "-1"], "error: Invalid value for '--limit'"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_mistake_on_the_command_line_is_said_like_any_other(bench, words, said):
    done = bench.here(*words)
    assert done.code == 2
    assert done.err.startswith(said)
    assert "hint: See `orchestrator runs" in done.err
    assert "Error:" not in done.err
