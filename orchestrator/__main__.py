"""Entry point of the command line: `orchestrator` and `python -m orchestrator`. Does nothing but begin."""

from __future__ import annotations

from orchestrator.init_process import run_as_child_of_init


def main() -> None:
    """Runs the command named on the command line, and exits with its code."""
    run_as_child_of_init()
    from orchestrator.cli.app import run_command_line

    run_command_line()


if __name__ == "__main__":
    main()
