"""A workspace whose steps run on the cluster of the tests, used by the installed command."""

import json
import os
import sys
import sysconfig
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
# How long anything may take. Two cores run a whole cluster beside the tests.
PATIENCE_S = 180


class Workspace:
    """A workspace whose steps run in a namespace of their own."""

    def __init__(self, bench, cluster, namespace, source):
        self.bench, self.cluster, self.namespace = bench, cluster, namespace
        self.environment = {"KUBECONFIG": str(cluster.kubeconfig)}
        self.patience_s = PATIENCE_S
        bench.write(source)
        self.write()

    def write(self, **more):
        """The workspace file. `more` is of its section `kubernetes`; `steps` says how many a run may have at a time."""
        steps = more.pop("steps", 4)
        kubernetes = section(self.namespace, self.bench.path, **{"storage": {"claim": "values"}, **more})
        location = {"name": "main", "file": "pipelines.py", "image": "local/sh:1"}
        executor = {"default": "kubernetes", "max_concurrent_steps": steps}
        text = {"locations": [location], "executor": executor, "kubernetes": kubernetes}
        self.bench.settings(yaml.safe_dump(text, sort_keys=False))
        return self

    def __call__(self, *arguments):
        return self.bench(*arguments, **self.environment)

    def start(self, *arguments):
        return self.bench.start(*arguments, to=self.bench.path / "output", **self.environment)

    def finish(self, *arguments):
        """A command to its end, and what it printed."""
        code = self.start(*arguments).wait(self.patience_s)
        return code, (self.bench.path / "output").read_text()

    def run(self, pipeline):
        """A run to its end, as JSON."""
        self.finish("run", pipeline)
        page = json.loads(self("runs", "show", "last", "--json").out)
        assert "status" in page, (self.bench.path / "output").read_text()
        return page

    @property
    def path(self):
        return self.bench.path

    def queue(self, pipeline):
        """Hands a run to the daemon, once there is one."""
        self.until(lambda: self("daemon", "status").code == 0, "the daemon to be there")
        return self("run", pipeline, "--detach")

    def printed(self):
        """What the command that was started last has printed."""
        return (self.path / "output").read_text()

    def events(self):
        return self.bench.events()

    def kinds(self):
        """The words for what happened in the last run, in order."""
        return [event["event"] for event in self.events()]

    def waited(self):
        """What attempts of the last run waited for, in words."""
        return [event["reason"] for event in self.events() if event["event"] == "attempt_waiting"]

    def show(self):
        return json.loads(self("runs", "show", "last", "--json").out)

    def is_over(self):
        return self.show()["status"] in ("SUCCESS", "FAILURE", "CANCELED")

    def lines(self):
        """The lines that steps appended to the file `ledger`, in order."""
        path = self.bench.path / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def names(self, kind):
        return [item["metadata"]["name"] for item in self.cluster.items(kind, self.namespace)]

    def until_nothing_is_left(self):
        for kind in ("jobs", "pods", "secrets"):
            self.until(lambda kind=kind: self.names(kind) == [], f"its {kind} to be deleted")

    def pods(self):
        return self.cluster.items("pods", self.namespace)

    def running(self):
        return [pod for pod in self.pods() if pod["status"].get("phase") == "Running"]

    def until(self, condition, what):
        """Returns once the condition holds. Pods take a second to start, and many on a busy machine."""
        deadline = time.monotonic() + self.patience_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came true"
            time.sleep(0.1)


def section(namespace, workspace, **more):
    """The `kubernetes` section of a workspace file whose pods run this environment."""
    paths = {
        "/usr": "/usr",
        "/lib": "/usr/lib",
        "/lib64": "/usr/lib64",
        str(ROOT): str(ROOT),
        str(workspace): str(workspace),
    }
    for prefix in {sys.prefix, sys.base_prefix}:
        if not any(Path(prefix).is_relative_to(path) for path in paths):
            paths[prefix] = prefix
    volumes = [{"name": f"host-{n}", "hostPath": {"path": path}} for n, path in enumerate(paths.values())]
    mounts = [
        {"name": f"host-{n}", "mountPath": mount, "readOnly": mount != str(workspace)} for n, mount in enumerate(paths)
    ]
    container = {
        "name": "step",
        "command": [sys.executable, "-P", "-m", "orchestrator.worker.in_pod"],
        "workingDir": str(workspace),
        "securityContext": None,
        "volumeMounts": mounts,
        "env": [{"name": "PYTHONPATH", "value": f"{ROOT}{os.pathsep}{sysconfig.get_path('purelib')}"}],
    }
    pod = {"securityContext": None, "volumes": volumes, "containers": [container]}
    return {"namespace": namespace, "storage": None, "pod": pod, **more}


def workspace_file(namespace, workspace, **more):
    """The lines of a workspace file, but for its locations."""
    return yaml.safe_dump({"kubernetes": section(namespace, workspace, **more)}, sort_keys=False)
