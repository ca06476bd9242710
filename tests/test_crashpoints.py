"""Every gap has a name, every name a place in the source, and every place a test that dies there."""

import re
from collections import Counter
from pathlib import Path

import orchestrator
from orchestrator.crashpoints import POINTS
from tests.cli import test_limits as limits
from tests.daemon import test_exactly_once as daemon
from tests.daemon import test_overlap as overlap
from tests.service import test_crashes as owners

SOURCE = Path(orchestrator.__file__).parent
# A line of a journal is torn wherever lines are written; which journal, the writer is told.
TORN = {"journal.torn", "step.torn"}


def test_every_point_is_in_the_source_exactly_once():
    text = "".join(path.read_text() for path in SOURCE.rglob("*.py") if path.name != "crashpoints.py")
    named = Counter(re.findall(r'crash_point\("([a-z.]+)"\)', text))
    assert set(named) == set(POINTS) - TORN
    assert set(named.values()) == {1}
    assert all(f'"{point}"' in text for point in TORN)


def test_every_point_has_a_test_that_fails_if_it_is_never_reached():
    tested = {
        *owners.OWNER_POINTS,
        *owners.STEP_POINTS,
        *owners.INGEST_POINTS,
        *owners.SPECIAL,
        *daemon.DAEMON_POINTS,
        *daemon.RUN_POINTS,
        *limits.POINTS,
        *overlap.POINTS,
    }
    assert tested == set(POINTS)
