"""The chart's values by their schema, as far as it needs neither Helm nor a cluster."""

import json
import re

import jsonschema
import msgspec
import pytest
import yaml

from orchestrator import settings
from orchestrator._version import __version__
from tests.deploy import dockerfile
from tests.deploy.helm import CHART, EXAMPLES
from tests.deploy.wrong_values import WRONG

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", [CHART / "values.yaml", *EXAMPLES], ids=lambda path: path.stem)
def test_the_defaults_and_the_examples_are_valid(path):
    jsonschema.Draft7Validator(SCHEMA).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("values", "where", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else None
)
def test_a_wrong_value_is_refused_where_it_is(values, where, said):
    errors = list(jsonschema.Draft7Validator(SCHEMA).iter_errors(values))
    assert ["/" + "/".join(map(str, error.absolute_path)) for error in errors] == [where]


def keys(schema):
    """The keys that a part of the schema allows; None where any is allowed."""
    while "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].split("/")[-1]]
    return set(schema["properties"]) if "properties" in schema else None


def test_each_value_that_the_schema_has_is_explained_by_a_default():
    assert keys(SCHEMA) - DEFAULTS.keys() == {"global"}
    for name in DEFAULTS.keys() - {"workspace"}:
        allowed = keys(SCHEMA["properties"][name])
        assert allowed is None or allowed == DEFAULTS[name].keys(), name


@pytest.mark.parametrize(
    ("section", "record", "left_out"),
    [
        # The state is on the daemon's claim. There is no kubeconfig in a pod.
        (SCHEMA["properties"]["workspace"], settings.WorkspaceFile, {"state_dir"}),
        (SCHEMA["definitions"]["location"], settings.LocationSettings, set()),
        (SCHEMA["definitions"]["executor"], settings.ExecutorSettings, set()),
        (SCHEMA["definitions"]["runQueue"], settings.RunQueueSettings, set()),
        (SCHEMA["definitions"]["retention"], settings.RetentionSettings, set()),
        (SCHEMA["definitions"]["kubernetes"], settings.KubernetesSettings, {"context"}),
    ],
    ids=["file", "location", "executor", "run_queue", "retention", "kubernetes"],
)
def test_the_schema_has_the_keys_of_the_workspace_file(section, record, left_out):
    assert set(section["properties"]) == {field.name for field in msgspec.structs.fields(record)} - left_out


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_image_runs_as_the_user_of_the_chart():
    *_, last = dockerfile.stages(dockerfile.instructions())
    context = DEFAULTS["daemon"]["podSecurityContext"]
    assert dockerfile.values_of(last, "USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["fsGroup"] == context["runAsGroup"]


def test_the_base_image_is_pinned_and_no_secret_is_written_into_a_layer():
    first, *rest = dockerfile.stages(dockerfile.instructions())
    (base,) = dockerfile.values_of(first, "ARG")
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", base)
    assert all(
        values == ["${BASE} AS build"] or values == ["${BASE}"]
        for values in (dockerfile.values_of(s, "FROM") for s in rest)
    )
    (pip,) = [run for run in dockerfile.values_of(rest[0], "RUN") if "pip wheel" in run]
    assert pip.startswith("--mount=type=secret,")
    assert "[kubernetes]" in pip


def test_what_the_dockerfile_copies_is_not_ignored():
    kept = {
        line[1:]
        for line in (dockerfile.DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().split()
        if line.startswith("!")
    }
    _, build, _ = dockerfile.stages(dockerfile.instructions())
    copied = {one.removeprefix("./") for rest in dockerfile.values_of(build, "COPY") for one in rest.split()[:-1]}
    assert copied == kept
    assert all((dockerfile.ROOT / one).exists() for one in copied)
