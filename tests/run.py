"""Everything that must pass before a change is accepted, in an environment of the project's own.

python3 tests/run.py              format, lint, types, tests
python3 tests/run.py -k journal   only these tests (whatever is given is handed to pytest)
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from bootstrap import environment, run

CHECKS = (("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy",))


def main() -> int:
    programs = environment("dev")
    for check in () if sys.argv[1:] else CHECKS:
        print("$", *check, flush=True)
        if code := run(programs, *check):
            return code
    print("$ pytest", *sys.argv[1:], flush=True)
    # Twice as many workers as cores, because many tests wait. Each begins with a stretch of its own; who is done takes
    # over half of what another has left, so that all end together, however long single files take.
    workers = str(2 * (os.cpu_count() or 2))
    return run(programs, "pytest", "-n", workers, "--dist", "worksteal", *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
