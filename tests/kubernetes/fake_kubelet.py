"""The controllers and the kubelet of the fake cluster: a Job gets a pod, which runs, and is deleted with its Job."""

import os
import signal
import threading
from contextlib import suppress

from tests.kubernetes.fake_container import Containers, send_signal
from tests.kubernetes.fake_store import Key, suffix


class Kubelet:
    """Runs pods below a directory of its own. `account`: the files of a service account. `address`: host and port of
    the API server."""

    def __init__(self, store, directory, account, address):
        self._store = store
        self._containers = Containers(store, directory, account, address)
        self._processes = {}  # by the uid of the pod
        self._threads = []

    def log(self, pod):
        """The file with what a pod has printed."""
        return self._containers.place(pod) / "log"

    def add_pod(self, job):
        """A pod of a Job, which is started. A second one is what Kubernetes makes in rare failures."""
        template, metadata = job["spec"]["template"], job["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        labels = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
        own = template.get("metadata") or {}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**own, "labels": {**own.get("labels", {}), **labels}, "ownerReferences": [owner]},
            "spec": {**template["spec"], "nodeName": "fake"},
            "status": {"phase": "Pending"},
        }
        key = Key("pods", metadata["namespace"], f"{name[:57].rstrip('-')}-{suffix()}")
        pod = self._store.create(key, pod)
        thread = threading.Thread(target=self._run, args=(key, pod), daemon=True)
        self._threads.append(thread)
        thread.start()
        return pod

    def delete(self, key, grace=None):
        """Deletes an object as its controllers would: what it owns goes too, a pod is asked to end first."""
        with self._store.changed:
            item = self._store.get(key)
            if item is None:
                return None
            if key.kind == "pods":
                return self._end_pod(key, item, grace)
            gone = self._store.delete(key)
            for owned in self._store.owned(item["metadata"]["uid"]):
                self.delete(owned)
            return gone

    def close(self):
        """Kills every container."""
        with self._store.changed:
            for item in self._store.items("pods"):
                self._store.delete(_key(item))
            for process in self._processes.values():
                send_signal(process, signal.SIGKILL)
        for thread in self._threads:
            thread.join(30)

    # --- inside ---

    def _end_pod(self, key, pod, grace):
        process = self._processes.get(pod["metadata"]["uid"])
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        if grace == 0 or process is None or process.poll() is not None:
            if process is not None:
                send_signal(process, signal.SIGKILL)
            return self._store.delete(key)

        def deleting(item):
            item["metadata"] |= {"deletionTimestamp": self._store.instant(), "deletionGracePeriodSeconds": grace}

        send_signal(process, signal.SIGTERM)
        timer = threading.Timer(grace, send_signal, (process, signal.SIGKILL))
        timer.daemon = True
        timer.start()
        return self._store.update(key, deleting)

    def _run(self, key, pod):
        self._status(key, conditions=[{"type": "PodScheduled", "status": "True"}])
        self._container(key, waiting={"reason": "ContainerCreating"})
        with self._store.changed:
            while not self._has_secrets(pod) and self._store.get(key) is not None:
                self._store.changed.wait(1)
            if self._store.get(key) is None:
                return
            process = self._processes[pod["metadata"]["uid"]] = self._containers.start(pod)
            began = self._store.instant()
            self._container(key, phase="Running", running={"startedAt": began})
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        send_signal(process, signal.SIGKILL)  # what it has left behind ends with the container
        code = process.wait()
        self._ended(key, pod, began, 128 - code if code < 0 else code)

    def _ended(self, key, pod, began, code):
        message = (self._containers.place(pod) / "termination-log").read_bytes()[-4096:].decode(errors="replace")
        reason = "Error" if code else "Completed"
        ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": self._store.instant()}
        # A kubelet says that the container has ended, and a second later that the pod has.
        self._container(key, terminated={**ended, **({"message": message} if message else {})})
        self._status(key, phase="Failed" if code else "Succeeded")
        now = self._store.get(key)
        if now is not None and "deletionTimestamp" in now["metadata"]:
            self._store.delete(key)
        self._job_ended(pod, "Failed" if code else "Complete")

    def _job_ended(self, pod, condition):
        def change(job):
            job["status"] = {"conditions": [{"type": condition, "status": "True"}]}

        owner = pod["metadata"]["ownerReferences"][0]["name"]
        self._store.update(Key("jobs", pod["metadata"]["namespace"], owner), change)

    def _status(self, key, **status):
        self._store.update(key, lambda item: item["status"].update(status))

    def _container(self, key, phase=None, **state):
        def change(item):
            container = item["spec"]["containers"][0]
            about = {"name": container["name"], "image": container["image"], "state": state}
            item["status"] |= {"containerStatuses": [about], "phase": phase or item["status"]["phase"]}

        self._store.update(key, change)

    def _has_secrets(self, pod):
        wanted = [one["secret"]["secretName"] for one in pod["spec"].get("volumes", ()) if "secret" in one]
        return all(self._store.get(Key("secrets", pod["metadata"]["namespace"], name)) for name in wanted)


def _key(pod):
    return Key("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
