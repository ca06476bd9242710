"""Run ids."""

import random

from orchestrator.ids import LENGTH, RUN_ID, new_run_id


def test_ids_have_one_form_and_tell_apart_from_the_first_characters():
    ids = [new_run_id(random.Random(seed).getrandbits) for seed in range(2000)]
    assert all(RUN_ID.fullmatch(one) and len(one) == LENGTH for one in ids)
    assert len({one[:5] for one in ids}) > 1990


def test_seeding_random_does_not_make_ids_repeat():
    random.seed(1)
    first = new_run_id()
    random.seed(1)
    assert new_run_id() != first
