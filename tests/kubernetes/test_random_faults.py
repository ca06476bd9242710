"""Runs under random faults, by seed: each step runs once, and its run succeeds."""

import random

import pytest

from tests.kubernetes.test_faults import Work

# Seeds of the plain suite, and those beyond it.
FEW, MANY = range(3), range(3, 40)
# The API server is away at most so often.
OUTAGES = 2


@pytest.mark.parametrize(
    "seed",
    [*FEW, *(pytest.param(seed, marks=pytest.mark.long if seed < 10 else pytest.mark.exhaustive) for seed in MANY)],
)
def test_each_step_runs_once_under_random_faults(bench, fake, seed):
    work, chance = Work(bench, fake), random.Random(seed)
    fake.faults.plan(500, "LIST")
    fake.faults.rain(seed, chance.uniform(0.05, 0.4))
    fake.faults.is_doubling, fake.faults.is_echoing = chance.random() < 0.5, chance.random() < 0.5
    owner = work.start()
    work.until_begun()
    for _ in range(chance.randrange(OUTAGES + 1)):
        fake.api.stop()
        fake.store.touch()
        fake.api.start()
    work.go()
    work.succeeds(owner)
