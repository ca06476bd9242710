"""The flights in a cluster: the page of the example is carried out as it is written."""

import json
import tempfile
import time
from pathlib import Path

import polars as pl
import pytest

from tests.examples.cluster_page import EXAMPLE, HANGS_S, Reader, build_image, sections
from tests.examples.test_flights import is_picture
from tests.kubernetes import conftest
from tests.kubernetes.conftest import cluster  # noqa: F401  # the fixture
from tests.readme import BLOCK, README, commands
from tests.test_readme import plain

WALKED = ("The namespace", "A run")
NAMESPACE = "flights"
# Stands for lines that are not shown.
LEFT_OUT = "  ..."


@pytest.fixture(scope="module")
def volume(cluster, tmp_path_factory):  # noqa: F811
    """A directory that the claim of the page is given: what a storage class does elsewhere."""
    directory = tmp_path_factory.mktemp("volume")
    directory.chmod(0o777)
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": NAMESPACE},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": str(directory)},
        },
    }
    cluster.request("POST", "/api/v1/persistentvolumes", wanted)
    yield directory
    cluster.request("DELETE", f"/api/v1/persistentvolumes/{NAMESPACE}")


@pytest.fixture(scope="module")
def reader(cluster, volume, tmp_path_factory):  # noqa: F811
    """A reader of the page, for whom the image is on the node, and who cleans up in the end as the page says."""
    # Not below /tmp: the environment has the same path in the image, where a volume is mounted there.
    with tempfile.TemporaryDirectory(prefix="image-", dir=conftest._cache()) as work:
        build_image(Path(work), Path(work) / "image.tar")
        cluster.inside("ctr", "-n", "k8s.io", "images", "import", Path(work) / "image.tar")
    reader = Reader(tmp_path_factory.mktemp("examples"), cluster, conftest._cache())
    yield reader
    for command in sections()["Clean up"]:
        assert reader(command.line).code == 0, command


@pytest.fixture(scope="module")
def walked(reader):
    """Each command of the page as it is shown, and as it went."""
    shown = [command for heading in WALKED for command in sections()[heading]]
    return [(command, reader(command.line)) for command in shown]


@pytest.fixture(scope="module")
def in_pods(walked, reader):
    """The run of the page."""
    return ask(reader, "runs", "show", "last")


@pytest.fixture(scope="module")
def here(in_pods, reader):
    """The same run without the cluster."""
    done = reader(the_run().removesuffix(" --executor kubernetes"))
    assert done.code == 0, done
    return ask(reader, "runs", "show", "last")


def the_run():
    (line,) = [one.line for one in sections()["A run"] if one.line.startswith("orchestrator run ")]
    return line


def ask(reader, *words):
    return json.loads("\n".join(reader(f"orchestrator {' '.join(words)} --json").output))


def test_every_command_of_the_page_ends_well_and_begins_to_print_what_is_shown(walked):
    for shown, done in walked:
        assert done.code == 0, done
        assert [plain(line) for line in done.output[:1]] == [plain(line) for line in shown.output[:1]], shown.line


def test_1_all_steps_run_in_pods_of_the_image_and_say_where_and_how_long_they_waited(in_pods):
    assert in_pods["status"] == "SUCCESS"
    assert len(in_pods["steps"]) == 14
    for step in in_pods["steps"]:
        assert step["place"]["node"] == "node", step
        assert step["place"]["pod"].startswith(f"orc-{in_pods['run_id']}-"), step
        assert step["place"]["image"].partition("@")[0].startswith("flights"), step
        assert step["waited_s"] > 0, step
        assert step["attempts"] == 1, step


def test_1_a_run_in_pods_is_shown_in_the_shape_of_one_that_is_here(in_pods, here):
    assert in_pods.keys() == here.keys()
    assert [(step["key"], step["status"], step.keys()) for step in in_pods["steps"]] == [
        (step["key"], step["status"], step.keys()) for step in here["steps"]
    ]
    assert [step["place"] for step in here["steps"]] == [None] * 14


def test_1_the_tables_in_the_claim_are_those_that_are_made_here(in_pods, here, reader, volume):
    ours = tables(reader.path.parent / "flights" / "out" / "tables", here["run_id"])
    theirs = tables(volume / "flights" / "tables", in_pods["run_id"])
    assert theirs.keys() == ours.keys()
    assert "marts/by_carrier.parquet" in ours
    assert "RUN/prepare.enrich/result.parquet" in ours
    assert [name for name, table in ours.items() if not theirs[name].equals(table)] == []


def test_1_the_report_in_the_claim_is_the_one_that_is_made_here(here, reader, volume):
    ours, theirs = reader.path.parent / "flights" / "out" / "report", volume / "flights" / "report"
    assert (theirs / "report.md").read_text() == (ours / "report.md").read_text()
    assert is_picture(reader.path / "delays.png")


def tables(directory, run):
    """What is in the parquet files, by path; the run's own directory is called RUN."""
    paths = [path.relative_to(directory) for path in sorted(directory.rglob("*.parquet"))]
    return {str(path).replace(run, "RUN"): pl.read_parquet(directory / path) for path in paths}


def test_3_a_pod_that_is_deleted_as_the_page_says_costs_the_run_nothing(in_pods, reader, tmp_path):
    (shown,) = [command.line for command in sections()["A pod that is deleted"] if "delete" in command.line]
    run = reader.start(the_run(), tmp_path / "printed")
    first = f"kubectl get pods --namespace {NAMESPACE} --selector orchestrator.io/step=prepare.ingest --output name"
    until(lambda: any(line.startswith("pod/") for line in reader(first).output), "the pod of the first step")
    deleted = reader(shown)
    assert run.wait(HANGS_S) == 0, (tmp_path / "printed").read_text()
    assert any("deleted" in line for line in deleted.output), deleted
    kinds = [event["event"] for event in ask(reader, "runs", "events", "last")]
    assert "attempt_lost" in kinds
    assert "attempt_failed" not in kinds


def until(condition, what):
    deadline = time.monotonic() + HANGS_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.1)


def test_every_file_of_the_example_is_named_on_its_page():
    page = (EXAMPLE / "README.md").read_text()
    others = {"README.md", "Dockerfile.dockerignore", "delays.png"}  # the last is copied there by who follows the page
    files = {path.name for path in EXAMPLE.iterdir() if path.is_file()} - others
    assert [name for name in sorted(files) if f"| `{name}` |" not in page] == []


def test_what_is_ignored_when_the_image_is_built_is_not_what_it_copies():
    kept = {line[1:] for line in (EXAMPLE / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = [line.split()[1:-1] for line in (EXAMPLE / "Dockerfile").read_text().splitlines() if line[:4] == "COPY"]
    assert {path for paths in copied for path in paths} == kept


def test_what_the_first_page_shows_of_the_example_is_what_its_own_page_shows():
    section = README.read_text().split("\n## On Kubernetes\n")[1].split("\n## ")[0]
    blocks = [commands(body) for language, body in BLOCK.findall(section) if language == "console"]
    on_the_page = {command.line: command.output for part in sections().values() for command in part}
    assert blocks
    for command in [command for block in blocks for command in block]:
        shown = [line for line in command.output if line != LEFT_OUT]
        assert [line for line in on_the_page[command.line] if line in shown] == shown
