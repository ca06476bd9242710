"""Selections that name keys, or make new ones, on a pipeline with nested fan-outs: which are refused, and why."""

import pytest

from orchestrator import ConfigError, DynamicOut, pipeline, step
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import Inherited, PlanRequest

files = step(name="files", outputs=DynamicOut())(lambda: None)
parts = step(name="parts", outputs=DynamicOut())(lambda file: None)
part = step(name="part")(lambda one: one)
whole = step(name="whole")(lambda parts: parts)
total = step(name="total")(lambda wholes: wholes)


@pipeline
def nested():
    total(files().map(lambda file: whole(parts(file).map(part).collect())).collect())


def planned(query, *, continues=True):
    inherited = Inherited("default") if continues else None
    return plan_run(nested, PlanRequest(pipeline="nested", selection=(query,), inherited=inherited), {}).plan


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("files parts part[a]", "'part[a]' names one", "Select 'part' as a whole, or leave 'files' out."),
        ("parts part[a][x]", "'part[a][x]' names one", "Select 'part' as a whole, or leave 'parts' out."),
        ("parts[a] part[a][x]", "'part[a][x]' names one", "Select 'part[a]' as a whole, or leave 'parts' out."),
        ("parts part[a]", "'part[a]' names one", "Select 'part' as a whole, or leave 'parts' out."),
        ("parts[a] part[b]", "Step 'parts[a]' is selected, so it makes new keys", "Select 'part[a]' as well."),
        ("parts[a] whole[a]", "Step 'parts[a]' is selected, so it makes new keys", "Select 'part[a]' as well."),
        ("files total", "Step 'files' is selected, so it makes new keys", "Select 'whole' as well."),
    ],
)
def test_a_selection_that_cannot_be_carried_out_is_refused(query, message, hint):
    with pytest.raises(ConfigError) as caught:
        planned(query)
    assert message in caught.value.message
    assert caught.value.hint == hint


@pytest.mark.parametrize("query", ["part[a]*", "parts[a]*", "part[a][x]+", "parts[a] part", "whole[a]", "files*"])
def test_others_are_planned(query):
    assert any(one.selected for one in planned(query).steps)


@pytest.mark.parametrize("query", ["part[a]", "files* part[a][x] whole[b]", "whole", "total"])
def test_a_new_run_has_no_keys_yet(query):
    if query == "files* part[a][x] whole[b]":
        planned(query, continues=False)  # the keys are part of what is selected as a whole
        return
    with pytest.raises(ConfigError):
        planned(query, continues=False)
