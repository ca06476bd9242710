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
    parser.add_argument("--no-cluster", action="store_true", help="leave out the rows that need a Kubernetes cluster")
    parser.add_argument("--tiny", action="store_true", help="measure as little as possible; the numbers mean nothing")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    in_own_environment()

    from tests.benchmarks import kubernetes
    from tests.benchmarks.calibration import after, calibrate
    from tests.benchmarks.cluster import Clusters
    from tests.benchmarks.measure import Size, machine
    from tests.benchmarks.peers import Forgiven, Nobody, Peers

    CACHE.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="orchestrator-benchmark-"))
    peers = Nobody() if options.no_peers else Forgiven(Peers(CACHE))
    size = Size(options.tiny)
    clusters = Clusters(scratch / "kube")
    try:
        print("measuring the machine", file=sys.stderr)
        calibration = calibrate(scratch, size)
        current, found = calibration, []
        on_a_cluster = [] if options.no_cluster else kubernetes.rows(scratch, clusters, size)
        for name, measure in [*every_row(scratch, peers, size), *on_a_cluster]:
            if not options.words or any(word in name for word in options.words):
                print(f"measuring: {name}", file=sys.stderr)
                rows = list(measure())
                yardsticks = sorted({row.yardstick for row in rows if row.yardstick})
                meanwhile, current = after(current, yardsticks, scratch, size)
                for row in rows:
                    met = mark(meanwhile.is_met(row))
                    print(f"  {row.what}: {shown(row.value, row.unit)} {met}", file=sys.stderr)
                    found.append((row, meanwhile))
    finally:
        clusters.close()
        shutil.rmtree(scratch, ignore_errors=True)
    print(machine())
    print("\n".join(calibration.lines()))
    print_table(found, options.markdown)
    return 0


def every_row(scratch, peers, size):
    """(name, function that measures it and yields rows), in the order of the table: those that need no cluster."""
    from tests.benchmarks import core, daemon, simulate

    return [row for module in (core, daemon, simulate) for row in module.rows(scratch, peers, size)]


def in_own_environment():
    """Goes on in the project's environment if this is another Python."""
    import os

    from bootstrap import environment

    python = environment("dev") / "python"
    if Path(sys.executable).resolve() != python.resolve() or sys.prefix == sys.base_prefix:
        os.execv(python, [str(python), *sys.argv])


def print_table(found, markdown):
    """Prints the rows, each with the calibration of the machine while it was measured."""
    header = ["what", "measured", "budget", "on this machine", "", "beside it"]
    lines = [
        [
            row.what,
            shown(row.value, row.unit),
            limit(row, row.budget),
            limit(row, calibration.budget(row)) if row.yardstick else "",
            mark(calibration.is_met(row)),
            beside(row),
        ]
        for row, calibration in found
    ]
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


def limit(row, budget):
    if budget is None:
        return ""
    return f"{'>=' if row.more_is_better else '<='} {shown(budget, row.unit)}"


def mark(met):
    return {True: "met", False: "MISSED", None: ""}[met]


def beside(row):
    return " · ".join(f"{name} {shown(value, row.beside_unit or row.unit)}" for name, value in row.beside.items())


if __name__ == "__main__":
    sys.exit(main())
