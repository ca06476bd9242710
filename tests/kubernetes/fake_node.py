"""A node that runs nothing: it says of each of its pods that it ran and how it ended, so that a thousand cost little.

The step of a pod is said to have succeeded, in a termination message as a real pod would leave it. Pods come here that
have the node selector `{kind: fake}` and tolerate the taint `fake`. Those of others than us end without a message.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from orchestrator.attempts.termination_message import write_message
from orchestrator.clock import now
from orchestrator.errors import ClusterRefused
from orchestrator.kubernetes.names import handle_in
from orchestrator.kubernetes.reflector import Reflector
from orchestrator.model.attempt import split_handle
from orchestrator.model.events import AttemptStarted, AttemptSucceeded, encode_line

ROOM = {"cpu": "10000", "memory": "10Ti", "pods": "100000"}
# A node that says nothing for 40 seconds counts as lost.
BEAT_S = 5.0
# The real node's kubelet is asked for the logs, and says that it has no such pod.
KUBELET = {
    "addresses": [{"type": "InternalIP", "address": "10.99.0.1"}],
    "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
}


class FakeNode:
    """For a test: `with FakeNode(client): ...`. Pods are said to run for `runs_s` seconds; None: until deleted."""

    def __init__(self, client, name="fake", runs_s=0.0):
        self._client = client
        self._runs_s = runs_s
        self._path = f"/api/v1/nodes/{name}"
        self._name = name
        self._threads = ThreadPoolExecutor(16)
        self._is_over = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        query = {"fieldSelector": f"spec.nodeName={name}"}
        self._pods = Reflector(client, "/api/v1/pods", query, self._seen, lambda _names: None)

    def __enter__(self):
        metadata = {"name": self._name, "labels": {"kind": "fake", "kubernetes.io/hostname": self._name}}
        spec = {"taints": [{"key": "fake", "effect": "NoSchedule"}]}
        self._client.request("POST", "/api/v1/nodes", {"kind": "Node", "metadata": metadata, "spec": spec})
        self._heart.start()
        self._pods.start()
        return self

    def __exit__(self, *_error):
        self._is_over.set()
        self._pods.stop()
        self._heart.join()
        self._threads.shutdown()
        self._client.request("DELETE", self._path)

    def _beat(self):
        while True:
            node = self._client.request("GET", self._path)
            stamp = _stamp()
            ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": stamp, "lastTransitionTime": stamp}
            node["status"] |= {"capacity": ROOM, "allocatable": ROOM, "conditions": [ready], **KUBELET}
            try:
                self._client.request("PUT", f"{self._path}/status", node)
            except ClusterRefused:
                continue  # another has changed it meanwhile
            if self._is_over.wait(BEAT_S):
                return

    def _seen(self, pod, is_gone):
        if is_gone:
            return
        if not self._runs_s or pod["status"].get("phase") != "Running" or "deletionTimestamp" in pod["metadata"]:
            self._pretend_soon(pod)
            return
        later = threading.Timer(self._runs_s, self._pretend_soon, [pod])
        later.daemon = True
        later.start()

    def _pretend_soon(self, pod):
        with suppress(RuntimeError):  # the node is gone
            self._threads.submit(self._pretend, pod)

    def _pretend(self, pod):
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        phase = pod["status"].get("phase")
        try:
            if "deletionTimestamp" in metadata:
                self._client.request("DELETE", path, {"gracePeriodSeconds": 0})
            elif phase == "Pending":
                self._say(path, pod, "Running", {"running": {"startedAt": _stamp()}})
            elif phase == "Running" and self._runs_s is not None:
                end = {"exitCode": 0, "reason": "Completed", "finishedAt": _stamp(), "message": _succeeded(pod)}
                self._say(path, pod, "Succeeded", {"terminated": end})
        except ClusterRefused:
            pass  # it was changed meanwhile, and what it is now comes with the watch

    def _say(self, path, pod, phase, state):
        containers = [
            {
                "name": one["name"],
                "image": one["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": state,
            }
            for one in pod["spec"]["containers"]
        ]
        pod["status"] |= {"phase": phase, "containerStatuses": containers}
        self._client.request("PUT", f"{path}/status", pod)


def _succeeded(pod):
    """The termination message of a step that succeeded without printing anything; empty for a pod of others."""
    handle = handle_in(pod["metadata"])
    if handle is None:
        return ""
    _, step, attempt = split_handle(handle)
    which = {"step": step, "attempt": attempt}
    events = [
        AttemptStarted(at=now(), n=0, pid=1, host=pod["metadata"]["name"], **which),
        AttemptSucceeded(at=now(), n=1, seconds=0.0, outputs={"result": None}, **which),
    ]
    return write_message([encode_line(event) for event in events], "").message.decode()


def _stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
