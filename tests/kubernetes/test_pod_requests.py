"""What `Pod(...)` asks for in a cluster: more memory after running out of it, spot nodes while they last, one image."""

import pytest

from orchestrator import Pod
from orchestrator.errors import ConfigError, DefinitionError
from orchestrator.kubernetes.facts import pull_seconds
from orchestrator.kubernetes.manifest import JobSettings, job_of
from orchestrator.kubernetes.pod_request import by_digest, scaled
from tests.kubernetes.test_manifests import CODE, SETTINGS, attempt, container

SPOT = {"nodeSelector": {"pool": "spot"}, "tolerations": [{"key": "spot"}]}


@pytest.mark.parametrize(
    ("quantity", "factor", "expected"),
    [
        ("64Mi", 2, "128Mi"),
        ("1.5Gi", 2, "3Gi"),
        ("4Gi", 1.5, "6Gi"),
        ("1G", 1.3333, "1.333G"),
        ("1000000", 1.5, "1500000"),
        ("100", 3, "300"),
        ("1e3", 10, "10e3"),
    ],
)
def test_a_quantity_is_multiplied_in_its_own_unit(quantity, factor, expected):
    assert scaled(quantity, factor) == expected


@pytest.mark.parametrize(("ran_out", "memory"), [(0, "1Gi"), (1, "2Gi"), (3, "8Gi")])
def test_each_attempt_that_ran_out_of_memory_makes_the_next_one_larger(ran_out, memory):
    one = attempt(pod=Pod(memory="1Gi", memory_on_retry=2).planned(), out_of_memory=ran_out)
    resources = container(job_of(one, SETTINGS, CODE, "t", None))["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == (memory, memory)


@pytest.mark.parametrize(("losses", "is_on_spot"), [(0, True), (1, True), (2, False), (5, False)])
def test_a_step_leaves_spot_nodes_after_losing_attempts_there(losses, is_on_spot):
    settings = JobSettings(instance="abc", namespace="data", spot=SPOT, spot_attempts=2)
    pod = job_of(attempt(pod=Pod(spot=True).planned(), losses=losses), settings, CODE, "t", None)["spec"]["template"]
    assert (pod["spec"].get("nodeSelector") == {"pool": "spot"}) is is_on_spot
    other = job_of(attempt(pod=Pod().planned(), losses=losses), settings, CODE, "t", None)["spec"]["template"]
    assert "nodeSelector" not in other["spec"], "a step that did not ask for it"


def test_spot_nodes_that_are_described_nowhere_are_an_error():
    with pytest.raises(ConfigError) as error:
        job_of(attempt(pod=Pod(spot=True).planned()), SETTINGS, CODE, "t", None)
    assert "kubernetes: {spot:" in error.value.hint


@pytest.mark.parametrize(
    ("image", "image_id", "expected"),
    [
        ("sales:1.4", "docker.io/library/sales@sha256:ab", "sales@sha256:ab"),
        ("team/sales:1", "docker.io/team/sales@sha256:ab", "team/sales@sha256:ab"),
        ("localhost/sales:1", "localhost/sales@sha256:ab", "localhost/sales@sha256:ab"),
        ("r.example:5000/team/sales:1", "other.example/sales@sha256:ab", "r.example:5000/team/sales:1"),
        ("flights:1", "docker.io/library/import-2026-11-27@sha256:ab", "flights:1"),
        ("r.example:5000/sales", "docker-pullable://r.example:5000/sales@sha256:ab", "r.example:5000/sales@sha256:ab"),
        ("sales@sha256:cd", "sales@sha256:ab", "sales@sha256:cd"),
        ("sales:1", "sha256:ab", "sales:1"),
        ("sales:1", None, "sales:1"),
    ],
)
def test_an_image_is_known_by_what_the_first_pod_had(image, image_id, expected):
    assert by_digest(image, image_id) == expected


def test_later_attempts_have_the_image_of_the_first_unless_the_step_names_its_own():
    pinned = "registry.example/sales@sha256:ab"
    assert container(job_of(attempt(image=pinned), SETTINGS, CODE, "t", None))["image"] == pinned
    assert container(job_of(attempt(image="sales:latest"), SETTINGS, CODE, "t", None))["image"] == CODE.image
    own = attempt(image=pinned, pod=Pod(image="tools:2").planned())
    assert container(job_of(own, SETTINGS, CODE, "t", None))["image"] == "tools:2"


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ('Successfully pulled image "a" in 1.8s (2.1s including waiting). Image size: 9 bytes.', 1.8),
        ('Successfully pulled image "a" in 532ms (532ms including waiting)', 0.532),
        ('Successfully pulled image "a" in 1m2.5s (1m2.5s including waiting)', 62.5),
        ('Container image "a" already present on machine', 0.0),
    ],
)
def test_how_long_an_image_was_pulled_is_read_from_the_clusters_event(message, seconds):
    assert pull_seconds(message) == seconds


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"memory": "1Gi", "memory_on_retry": 0.5}, "memory_on_retry=0.5 is not a number from 1 to 100."),
        ({"memory": "1Gi", "memory_on_retry": True}, "memory_on_retry=True is not a number from 1 to 100."),
        ({"memory": "1Gi", "memory_on_retry": float("nan")}, "memory_on_retry=nan is not a number from 1 to 100."),
        ({"memory_on_retry": 2}, "memory_on_retry= needs memory=."),
        ({"spot": "yes"}, "spot='yes' is not True or False."),
        ({"cpu": "two"}, "cpu='two' is not a quantity."),
        ({"gpu": -1}, "gpu=-1 is not a number of GPUs."),
    ],
)
def test_a_pod_that_cannot_be_right_is_refused_where_it_is_written(arguments, problem):
    with pytest.raises(DefinitionError) as error:
        Pod(**arguments)
    assert problem in str(error.value)
    assert "test_pod_requests.py" in str(error.value)
