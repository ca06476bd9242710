"""Who does not use Kubernetes pays nothing for it: none of its modules is imported, in any of our processes."""

import os

import pytest

PIPELINES = """
    from orchestrator import pipeline, step

    @step
    def one() -> int:
        return 1

    @pipeline
    def alone():
        one()
"""
# Python imports this at its start, in each process of a command. It notes what is looked for.
SITE = """
import sys

class Notes:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith(("orchestrator.kubernetes", "urllib3")) or name == "orchestrator.worker":
            with open({noted!r}, "a") as file:
                file.write(name + "\\n")

sys.meta_path.insert(0, Notes)
"""
# Nothing listens there.
KUBECONFIG = """
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: none, user: {token: none}}]
"""
FOR_KUBERNETES = {"orchestrator.kubernetes", "urllib3"}


@pytest.fixture
def imported(bench, monkeypatch):
    """What a command imports of the packages for Kubernetes, and `orchestrator.worker` if it starts a location."""
    noted, site = bench.path / "noted", bench.path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(noted=str(noted)))
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    bench.write(PIPELINES)

    def of(*arguments, **environment):
        noted.unlink(missing_ok=True)
        process = bench.start(*arguments, to=bench.path / "output", PYTHONPATH=path, **environment)
        code = process.wait(30)
        found = noted.read_text().split() if noted.exists() else []
        return code, {name for name in found if name in FOR_KUBERNETES | {"orchestrator.worker"}}

    return of


def test_help_imports_nothing_for_kubernetes(imported):
    assert imported("--help") == (0, set())


def test_a_run_with_local_processes_imports_nothing_for_kubernetes(imported):
    assert imported("run", "alone") == (0, {"orchestrator.worker"})


def test_a_command_about_the_cluster_is_seen_to_import_it(bench, imported):
    kubeconfig = bench.path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    code, found = imported("kubernetes", "check", KUBECONFIG=str(kubeconfig))
    assert code != 0
    assert found >= FOR_KUBERNETES
