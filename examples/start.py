"""Runs the example: all it takes is Python 3.11 and a clone of this repository.

python3 examples/start.py                                 in the mode `parquet`
python3 examples/start.py --mode duckdb --preset july     whatever is given is handed to `orchestrator run flights`
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from bootstrap import ROOT, environment, run

PICTURE = Path(os.environ.get("FLIGHTS_OUT", ROOT / "examples" / "flights" / "out")) / "report" / "delays.png"

NEXT = f"""
The report is in {PICTURE}, with the numbers in report.md beside it.

Three things to try next, in {ROOT}:

  .venv/bin/orchestrator pipeline show flights              what feeds what
  .venv/bin/orchestrator asset show marts/by_carrier        what was written, when and by which run
  python3 examples/start.py --mode duckdb --preset july     the same in DuckDB, and only July
"""


def main() -> int:
    programs = environment("examples")
    started = time.time()
    # A mode among the arguments comes later than this one, and the last one counts.
    code = run(programs, "orchestrator", "run", "flights", "--mode", "parquet", *sys.argv[1:])
    # With --help or --select there may be no new report to point to.
    if code == 0 and PICTURE.exists() and PICTURE.stat().st_mtime >= started:
        print(NEXT)
    return code


if __name__ == "__main__":
    sys.exit(main())
