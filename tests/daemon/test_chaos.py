"""Killed at random, again and again, under load: everything that was asked for is done, and nothing twice.

What counts as once: each occurrence and each key has exactly one run; in each run each step succeeds exactly once. An
attempt whose process was killed may be made again, as another attempt, and only after its process is gone; an attempt
itself is never begun twice. The witness is a ledger that the steps write, not our own records.
"""

import os

import pytest

from .chaos import Chaos

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds the processes to kill in /proc")


@pytest.mark.long
def test_a_few_seconds_of_killing_lose_and_double_nothing(daemon):
    chaos = Chaos(daemon, seed=1)
    chaos.prepare(minutes=4)
    chaos.go_on_for(6, deaths=3)
    chaos.settle()
    chaos.reckon()


@pytest.mark.chaos
def test_minutes_of_killing_lose_and_double_nothing(daemon):
    """`CHAOS_SECONDS` says for how long (180), `CHAOS_SEED` what is chosen."""
    seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(3), "big")
    chaos = Chaos(daemon, seed)
    print(f"seed {seed}")
    chaos.prepare(minutes=30)
    chaos.go_on_for(float(os.environ.get("CHAOS_SECONDS", "180")))
    chaos.settle()
    print(chaos.reckon())
