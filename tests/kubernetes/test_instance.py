"""A state directory has one id for its objects in a cluster, made once, and never another by damage."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import StoreError
from orchestrator.kubernetes.instance import instance_of


def test_the_id_stays_wherever_the_directory_is_moved(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    found = instance_of(state)
    moved = state.rename(tmp_path / "moved")
    assert instance_of(moved) == found
    assert len(found) == 12


def test_directories_have_ids_of_their_own(tmp_path):
    found = set()
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        found.add(instance_of(tmp_path / str(number)))
    assert len(found) == 20


def test_processes_that_ask_at_the_same_time_get_the_same(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: instance_of(tmp_path), range(64)))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["instance.json"], "nothing else is left"


def test_a_directory_that_is_not_there_is_not_made(tmp_path):
    assert instance_of(tmp_path / "absent") == instance_of(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def every_flipped_bit(content):
    for place in range(len(content)):
        for bit in range(8):
            yield content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def test_no_flipped_bit_gives_another_id(tmp_path):
    found = instance_of(tmp_path)
    file = tmp_path / "instance.json"
    damaged = 0
    for content in every_flipped_bit(file.read_bytes()):
        file.write_bytes(content)
        try:
            seen = instance_of(tmp_path)
        except StoreError:
            damaged += 1
        else:
            assert seen == found
    assert damaged > 200


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", json.dumps({"id": "a", "digest": 3})])
def test_a_file_that_is_none_of_ours_is_an_error_with_what_to_do(tmp_path, content):
    (tmp_path / "instance.json").write_text(content)
    with pytest.raises(StoreError) as error:
        instance_of(tmp_path)
    assert "may be deleted" in error.value.hint


def test_something_else_of_that_name_is_an_error(tmp_path):
    (tmp_path / "instance.json").mkdir()
    with pytest.raises(StoreError):
        instance_of(tmp_path)
