"""What is sent for an attempt: valid names for everything, and a Job that fits what was asked for."""

import base64
import re
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Pod
from orchestrator.attempts.package import AttemptPackage, RunPackage, decode_run
from orchestrator.errors import ConfigError, DefinitionError
from orchestrator.executors.base import Attempt
from orchestrator.kubernetes.manifest import CodeSettings, JobSettings, input_of, job_of
from orchestrator.kubernetes.merge import merged
from orchestrator.kubernetes.names import annotations_of, handle_in, job_name, label, labels_of
from orchestrator.model.attempt import AttemptSpec, SourceRef, handle_of

SETTINGS = JobSettings(instance="abc", namespace="data")
CODE = CodeSettings("registry.example/sales:1", {"name": "main", "working_dir": ".", "module": "sales"})

steps = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,60}(\[[A-Za-z0-9_./-]{1,120}\])?", fullmatch=True)


def attempt(step="load", number=1, pod=None, timeout=None, image=None, losses=0, out_of_memory=0, **fields):
    spec = AttemptSpec(run_id="0123456789ab", step=step, template=step, attempt=number, **fields)
    run = RunPackage(run_id="0123456789ab", pipeline="flights", mode="default", config={"a": 1})
    package = AttemptPackage(run=run, spec=spec)
    earlier = {"image": image, "losses": losses, "out_of_memory": out_of_memory}
    return Attempt(package, "main", pod=pod, timeout=timeout, **earlier)


def container(job):
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return found


def environment_of(job):
    """What the container finds in its environment."""
    return {entry["name"]: expanded(entry["value"]) for entry in container(job)["env"] if "value" in entry}


def expanded(value):
    """What Kubernetes makes of a value of `env` (k8s.io/kubernetes/third_party/forked/golang/expansion)."""
    return re.sub(r"\$(\$|\([^)]*\))", lambda found: "$" if found[1] == "$" else "(expanded)", value)


@given(st.text(st.sampled_from("$(){}Aa"), max_size=12))
def test_a_variable_reaches_the_container_as_it_stands_in_the_workspace_file(value):
    code = CodeSettings("i:1", {"name": "main"}, {"GIVEN": value})
    assert environment_of(job_of(attempt(), SETTINGS, code, "t0", None))["GIVEN"] == value


def test_every_attempt_arrives_whole():
    """Compressed, one in some hundreds has characters in it that mean something to Kubernetes."""
    for number in range(1, 3000):
        packed = environment_of(job_of(attempt(number=number), SETTINGS, CODE, "t0", None))["ORCHESTRATOR_POD_SPEC"]
        spec = msgspec.json.decode(zlib.decompress(base64.b85decode(packed)), type=AttemptSpec)
        assert spec.attempt == number


@given(steps, st.integers(1, 999))
def test_whatever_a_step_is_called_its_names_and_labels_are_valid_and_its_own(step, number):
    handle = handle_of("0123456789ab", step, number)
    name = job_name("abc", handle)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert name != job_name("abc", handle_of("0123456789ab", step, number + 1))
    assert name != job_name("abc", handle_of("0123456789ab", f"{step}x", number))
    for value in labels_of("abc", handle, "flights", "main").values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value)
    assert handle_in({"annotations": annotations_of(handle)}) == handle


@given(st.text(max_size=200))
def test_any_text_becomes_a_valid_label_and_a_valid_one_stays(text):
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", label(text))
    assert label(label(text)) == label(text)


def test_names_equal_but_for_their_case_are_told_apart():
    assert job_name("abc", handle_of("r", "Load", 1)) != job_name("abc", handle_of("r", "load", 1))


def test_a_job_is_never_retried_by_the_cluster():
    spec = job_of(attempt(), SETTINGS, CODE, "t0", None)["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_attempt_travels_in_the_pod_and_the_run_in_a_secret():
    one = attempt(sources={"x": (SourceRef("0123456789ab", "before", 1, "result"),)}) if False else attempt()
    environment = environment_of(job_of(one, SETTINGS, CODE, "t0", None))
    spec = msgspec.json.decode(
        zlib.decompress(base64.b85decode(environment["ORCHESTRATOR_POD_SPEC"])), type=AttemptSpec
    )
    assert spec == one.package.spec
    data = base64.b64decode(input_of(one, SETTINGS)["data"]["run"])
    assert decode_run(zlib.decompress(data)) == one.package.run


@pytest.mark.parametrize(("claim", "storage"), [(None, ""), ("shared", "/mnt")])
def test_values_are_stored_where_the_pods_can_reach_and_not_where_the_owner_does(claim, storage):
    settings = JobSettings(instance="abc", namespace="data", claim=claim, mount="/mnt")
    run = msgspec.structs.replace(attempt().package.run, storage="/home/me/.orchestrator/storage")
    one = Attempt(AttemptPackage(run=run, spec=attempt().package.spec), "main")
    data = base64.b64decode(input_of(one, settings)["data"]["run"])
    assert decode_run(zlib.decompress(data)).storage == storage
    mounts = [mount["mountPath"] for mount in container(job_of(one, settings, CODE, "t", None))["volumeMounts"]]
    assert ("/mnt" in mounts) == (claim is not None)


def test_a_run_that_is_too_large_for_a_secret_is_refused():
    import random

    noise = random.Random(1)
    run = RunPackage(run_id="0123456789ab", pipeline="p", mode="m", config={"x": noise.randbytes(1 << 20).hex() * 2})
    big = Attempt(AttemptPackage(run=run, spec=attempt().package.spec), "main")
    with pytest.raises(ConfigError, match="bytes compressed, and a Secret holds"):
        input_of(big, SETTINGS)


def test_what_pod_says_is_requested_and_memory_is_the_limit_too():
    pod = Pod(cpu="500m", memory="8Gi", gpu=1, image="other:2", spec={"nodeSelector": {"pool": "batch"}})
    job = job_of(attempt(pod=pod.planned()), SETTINGS, CODE, "t0", None)
    assert container(job)["resources"] == {
        "requests": {"cpu": "500m", "memory": "8Gi"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "1"},
    }
    assert container(job)["image"] == "other:2"
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "batch"}


def test_what_pod_says_comes_after_the_workspace_file():
    settings = JobSettings(
        instance="abc",
        namespace="data",
        pod={"nodeSelector": {"pool": "slow", "zone": "a"}, "tolerations": [{"key": "x"}]},
    )
    pod = Pod(spec={"nodeSelector": {"pool": "fast"}, "tolerations": [{"key": "y"}]}).planned()
    spec = job_of(attempt(pod=pod), settings, CODE, "t0", None)["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"pool": "fast", "zone": "a"}
    assert spec["tolerations"] == [{"key": "x"}, {"key": "y"}]


def test_a_step_with_a_timeout_is_ended_by_the_cluster_when_its_owner_is_dead():
    spec = job_of(attempt(timeout=30.0), SETTINGS, CODE, "t0", 30.0)["spec"]
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == 600 + 30 + 60, "also if it takes long to start"
    assert "activeDeadlineSeconds" not in spec, "the Job's own deadline deletes the pod with its log"


def test_pods_have_no_rights_by_default():
    spec = job_of(attempt(), SETTINGS, CODE, "t0", None)["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container({"spec": {"template": {"spec": spec}}})["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"memory": "8 GB"}, "memory='8 GB' is not a quantity"),
        ({"cpu": "two"}, "cpu='two' is not a quantity"),
        ({"gpu": -1}, "gpu=-1 is not a number"),
        ({"spec": ["x"]}, "spec= is not a dictionary"),
    ],
)
def test_a_pod_that_cannot_be_is_refused_where_it_is_written(options, problem):
    with pytest.raises(DefinitionError, match=re.escape(problem)):
        Pod(**options)


MERGES = [
    ("maps to any depth", {"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
    ("scalars are replaced", {"a": 1}, {"a": 2}, {"a": 2}),
    ("None removes", {"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    (
        "containers by name",
        {"containers": [{"name": "step", "image": "a"}]},
        {"containers": [{"name": "side", "image": "b"}, {"name": "step", "tty": True}]},
        {"containers": [{"name": "step", "image": "a", "tty": True}, {"name": "side", "image": "b"}]},
    ),
    (
        "environment by name",
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]},
        {"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]},
    ),
    (
        "mounts by path",
        {"volumeMounts": [{"mountPath": "/x", "name": "a"}]},
        {"volumeMounts": [{"mountPath": "/x", "name": "b"}]},
        {"volumeMounts": [{"mountPath": "/x", "name": "b"}]},
    ),
    ("tolerations appended", {"tolerations": [1]}, {"tolerations": [2, 1]}, {"tolerations": [1, 2]}),
    ("other lists replaced", {"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
]


@pytest.mark.parametrize(("first", "second", "result"), [pytest.param(*row[1:], id=row[0]) for row in MERGES])
def test_pod_specs_are_merged_as_a_manifest_is_applied(first, second, result):
    before = msgspec.json.encode([first, second])
    assert merged(first, second) == result
    assert msgspec.json.encode([first, second]) == before, "nothing that was given is changed"
