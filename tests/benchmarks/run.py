"""Measures what was asked for and prints the table. See `tests/benchmarks/__init__.py`."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".ci"))
sys.path.insert(0, str(ROOT))

CACHE = ROOT / ".benchmarks"


def main():
    parser = argparse.ArgumentParser(description="Measure what this project costs, beside its peers.")
    parser.add_argument("words", nargs="*", help="only rows whose name has one of these words in it")
    parser.add_argument("--no-peers", action="store_true", help="do not install and measure Dagster and Luigi")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    in_own_environment()

    from tests.benchmarks import core, daemon, simulate
    from tests.benchmarks.measure import machine
    from tests.benchmarks.peers import Forgiven, Nobody, Peers

    CACHE.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="orchestrator-benchmark-"))
    peers = Nobody() if options.no_peers else Forgiven(Peers(CACHE))
    try:
        found = []
        for name, measure in [*core.rows(scratch, peers), *daemon.rows(scratch, peers), *simulate.rows(scratch, peers)]:
            if not options.words or any(word in name for word in options.words):
                print(f"measuring: {name}", file=sys.stderr)
                for row in measure():
                    print(f"  {row.what}: {shown(row.value, row.unit)} {mark(row)}", file=sys.stderr)
                    found.append(row)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(machine())
    print_table(found, options.markdown)
    return 0


def in_own_environment():
    """Goes on in the project's environment if this is another Python."""
    import os

    from bootstrap import environment

    python = environment("dev") / "python"
    if Path(sys.executable).resolve() != python.resolve() or sys.prefix == sys.base_prefix:
        os.execv(python, [str(python), *sys.argv])


def print_table(found, markdown):
    header = ["what", "measured", "budget", "", "beside it"]
    lines = [[row.what, shown(row.value, row.unit), limit(row), mark(row), beside(row)] for row in found]
    if markdown:
        print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
        print("\n".join("| " + " | ".join(line) + " |" for line in lines))
        return
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    for line in [header, *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def shown(value, unit):
    if unit == "events/s":
        return f"{value:,.0f} {unit}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f} {unit}"


def limit(row):
    if row.budget is None:
        return ""
    return f"{'>=' if row.more_is_better else '<='} {shown(row.budget, row.unit)}"


def mark(row):
    return {True: "met", False: "MISSED", None: ""}[row.met]


def beside(row):
    return " · ".join(f"{name} {shown(value, row.beside_unit or row.unit)}" for name, value in row.beside.items())


if __name__ == "__main__":
    sys.exit(main())
