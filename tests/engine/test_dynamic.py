"""Steps whose number is only known while the run goes on."""

import pytest

from orchestrator.engine.actions import Launch
from tests.engine.lives import Life, plan

FILES = {"dynamic": ("result",)}


def mapped(*more, **steps):
    return plan(files=FILES, load={"over": "files.result", "one": "files"}, **steps)


def test_there_is_one_step_a_key():
    life = Life(mapped()).settle().succeed("files", result=["a", "b"]).settle()
    assert life.told == ["launch files/1", "launch load[a]/1", "launch load[b]/1"]


def test_a_mapped_step_gets_the_value_of_its_key():
    life = Life(mapped()).settle().succeed("files", result=["a", "b"]).settle()
    (reference,) = life.run.network.steps["load[b]"].sources_of_input(0)
    assert (reference.step, reference.mapping_key) == ("files", "b")


def test_a_chain_of_mapped_steps_stays_within_its_key():
    life = Life(mapped(clean={"over": "files.result", "one": "load"})).settle()
    life.succeed("files", result=["a", "b"]).settle().fail("load[a]").settle().succeed("load[b]").settle()
    assert life.states()["clean[a]"] == "ABANDONED"
    assert life.states()["clean[b]"] == "RUNNING"


def test_collecting_waits_for_every_key_and_keeps_their_order():
    life = Life(mapped(total={"all": "load"})).settle().succeed("files", result=["b", "a"]).settle()
    life.succeed("load[a]").settle()
    assert life.states()["total"] == "WAITING"
    life.succeed("load[b]").settle()
    assert [ref.step for ref in life.run.network.steps["total"].sources_of_input(0)] == ["load[b]", "load[a]"]
    assert life.states()["total"] == "RUNNING"


def test_a_dynamic_output_can_be_collected_itself():
    life = Life(plan(files=FILES, total={"all": "files"})).settle().succeed("files", result=["a", "b"]).settle()
    references = life.run.network.steps["total"].sources_of_input(0)
    assert [ref.mapping_key for ref in references] == ["a", "b"]


def test_no_keys_is_a_valid_number_of_keys():
    life = Life(mapped(total={"all": "load"})).settle().succeed("files", result=[]).settle()
    assert life.states()["load[?]"] == "SKIPPED"
    assert life.states()["total"] == "RUNNING"
    assert life.run.network.steps["total"].sources_of_input(0) == ()
    assert life.succeed("total").settle().told[-1] == "finish SUCCESS"


def test_a_failed_producer_abandons_what_would_have_been_mapped_and_collected():
    life = Life(mapped(total={"all": "load"})).settle().fail("files").settle()
    assert life.states() == {"files": "FAILURE", "total": "ABANDONED", "load[?]": "ABANDONED"}
    assert life.told[-1] == "finish FAILURE"


def test_collecting_is_abandoned_when_one_key_failed():
    life = Life(mapped(total={"all": "load"})).settle().succeed("files", result=["a", "b"]).settle()
    life.fail("load[a]").settle().succeed("load[b]").settle()
    assert life.states()["total"] == "ABANDONED"


def test_collecting_drops_keys_that_were_skipped():
    life = Life(
        plan(
            files=FILES,
            load={"over": "files.result", "one": "files", "outputs": ("x",), "optional": ("x",)},
            total={"all": "load.x"},
        )
    ).settle()
    life.succeed("files", result=["a", "b"]).settle().produce("load[a]", {}).produce("load[b]", {"x": None}).settle()
    assert [ref.step for ref in life.run.network.steps["total"].sources_of_input(0)] == ["load[b]"]


def test_an_optional_dynamic_output_left_out_skips_what_is_mapped_and_collected():
    life = Life(
        plan(
            files={**FILES, "optional": ("result",)},
            load={"over": "files.result", "one": "files"},
            total={"all": "load"},
        )
    ).settle()
    life.produce("files", {}).settle()
    assert (life.states()["load[?]"], life.states()["total"]) == ("SKIPPED", "SKIPPED")


def test_dynamic_outputs_nest():
    nested = plan(
        files=FILES,
        split={"over": "files.result", "one": "files", "dynamic": ("result",)},
        load={"over": "split.result", "one": "split"},
        per_file={"over": "files.result", "all": "load"},
        total={"all": "per_file"},
    )
    life = Life(nested).settle().succeed("files", result=["a", "b"]).settle()
    life.succeed("split[a]", result=["x", "y"]).succeed("split[b]", result=["z"]).settle()
    assert [told for told in life.told if "load" in told] == [
        "launch load[a][x]/1",
        "launch load[a][y]/1",
        "launch load[b][z]/1",
    ]
    life.succeed("load[a][x]").succeed("load[a][y]").settle()
    assert life.states()["per_file[a]"] == "RUNNING"
    assert life.states()["per_file[b]"] == "WAITING"
    life.succeed("load[b][z]").settle().succeed("per_file[a]").succeed("per_file[b]").settle().succeed("total").settle()
    assert life.told[-1] == "finish SUCCESS"


def test_a_failure_deep_inside_reaches_what_is_collected_outside():
    nested = plan(
        files=FILES,
        split={"over": "files.result", "one": "files", "dynamic": ("result",)},
        load={"over": "split.result", "one": "split"},
        per_file={"over": "files.result", "all": "load"},
        total={"all": "per_file"},
    )
    life = Life(nested).settle().succeed("files", result=["a", "b"]).settle().fail("split[a]").settle()
    life.succeed("split[b]", result=[]).settle().succeed("per_file[b]").settle()
    states = life.states()
    assert (states["load[a][?]"], states["per_file[a]"], states["total"]) == ("ABANDONED", "ABANDONED", "ABANDONED")
    assert life.told[-1] == "finish FAILURE"


@pytest.mark.parametrize("outer", ["fails", "has no keys", "was skipped"])
def test_what_is_nested_below_keys_that_never_come_ends_once(outer):
    nested = plan(
        split={"outputs": ("one",), "optional": ("one",)},
        files={**FILES, "one": "split.one"},
        parts={"over": "files.result", "one": "files", "dynamic": ("result",)},
        part={"over": "parts.result", "one": "parts"},
        whole={"over": "files.result", "all": "part"},
    )
    life = Life(nested).settle()
    life.produce("split", {} if outer == "was skipped" else {"one": None})
    for _ in range(20):  # it went on for ever
        action = life.ask()
        if isinstance(action, Launch):
            life.carry_out(action)
            life.fail("files") if outer == "fails" else life.succeed("files", result=[])
        elif action is not None:
            life.carry_out(action)
    state = "ABANDONED" if outer == "fails" else "SKIPPED"
    states = life.states()
    assert {states[key] for key in ("parts[?]", "part[?][?]", "whole[?]")} == {state}
    assert life.told[-1] == f"finish {'FAILURE' if outer == 'fails' else 'SUCCESS'}"
