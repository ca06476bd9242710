"""`orchestrator completion`: the script that has a shell complete our command lines. Changes no file."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import single
from orchestrator.cli.output import put
from orchestrator.errors import UsageError

app = single()
_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "orchestrator"
# With this variable the script has the program print completions.
_VARIABLE = "_ORCHESTRATOR_COMPLETE"

_EPILOG = """Example: orchestrator completion bash >> ~/.bashrc

\b
bash   orchestrator completion bash >> ~/.bashrc
zsh    orchestrator completion zsh > ~/.zfunc/_orchestrator
       with fpath+=~/.zfunc before compinit in ~/.zshrc
fish   orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish"""


@app.command(epilog=_EPILOG)
def completion(
    shell: Annotated[
        str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", autocompletion=lambda: list(_SHELLS))
    ],
) -> None:
    """Print the script that completes commands, options, names and values in a shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    if shell not in _SHELLS:
        raise UsageError(f"There is no completion for {shell!r}.", hint=f"Shells: {', '.join(_SHELLS)}.")
    put(get_completion_script(prog_name=_PROGRAM, complete_var=_VARIABLE, shell=shell))
