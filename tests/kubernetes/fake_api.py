"""Answers requests as an API server of Kubernetes does, as far as the executor uses it, with the faults of a test.

`test_fake_api.py` has what a real one was seen to answer.
"""

import json
import re
import socket
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from tests.kubernetes.fake_store import Key, is_selected

PATH = re.compile(
    r"/(?:api|apis/batch|apis/coordination\.k8s\.io)/v1/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<kind>jobs|pods|events|secrets|leases)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PAGE = b"<html><body>Sign in to the network</body></html>"
REASONS = {400: "BadRequest", 401: "Unauthorized", 404: "NotFound", 409: "AlreadyExists", 429: "TooManyRequests"}
# The fields that a Job may have here. A real server knows many more; these are what is sent to this one.
JOB = {"apiVersion", "kind", "metadata", "spec", "status"}
JOB_SPEC = {"backoffLimit", "completions", "parallelism", "podReplacementPolicy", "ttlSecondsAfterFinished", "template"}


class Handler(BaseHTTPRequestHandler):
    """One connection. Its server has the `api` with the store, the kubelet and the faults."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self):
        self.request = self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.server.opened(self.request)
        self.request.do_handshake()
        super().setup()

    def finish(self):
        self.server.closed(self.request)
        with suppress(OSError):
            super().finish()
        self.request.close()

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        self._answer()

    do_POST = do_DELETE = do_PATCH = do_GET

    # --- inside ---

    def _answer(self):
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.api, self.query = self.server.api, dict(parse_qsl(parts.query))
        self.api.requests.append((self.command, parts.path))
        found = PATH.fullmatch(parts.path)
        kind = self._kind(found)
        self.is_torn = False
        # Faults are for what has an effect. A dry run that gets no answer is passed over.
        is_dry = "dryRun" in self.query
        fault = None if is_dry else self.api.faults.take(kind, parts.path)
        if fault == "drop":
            self.is_torn = True
        elif fault == "html" or fault == "refusal":
            return self._send(200 if fault == "html" else 403, PAGE, "text/html")
        elif isinstance(fault, int):
            return self._refuse(fault, f"the test says {fault}")
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return self._refuse(401, "Unauthorized")
        if fault == "lost":
            self._send = lambda *_: self._break_off()
        if kind == "WATCH":
            return self._watch(found, is_expired=fault == "expired")
        if kind == "LIST":
            return self._list(found, is_stale=fault == "stale")
        return self._one(kind, found, json.loads(body) if body else {})

    def _kind(self, found):
        """The word by which faults know this request."""
        if found is None or self.command != "GET":
            return self.command
        if found["log"]:
            return "LOG"
        return "GET" if found["name"] else "WATCH" if "watch" in self.query else "LIST"

    def _one(self, kind, found, body):
        if found is None:
            return self._other(body)
        key = Key(found["kind"], found["namespace"], found["name"] or body.get("metadata", {}).get("name"))
        if kind == "POST":
            return self._create(key, body)
        if kind == "DELETE" and not found["name"]:
            return self._delete_all(found)
        if kind == "DELETE":
            item = self.api.kubelet.delete(key, body.get("gracePeriodSeconds"))
        elif kind == "PATCH":
            item = self.api.store.update(key, lambda item: item.update(patched(item, body)))
        else:
            item = self.api.store.get(key)
        if item is None:
            return self._refuse(404, f'{key.kind} "{key.name}" not found')
        return self._log(item) if kind == "LOG" else self._say(200, item)

    def _other(self, body):
        path = urlsplit(self.path).path
        if path == "/version":
            return self._say(200, {"major": "1", "minor": "35", "gitVersion": "v1.35.0-fake"})
        if path == REVIEWS:
            wanted = body["spec"]["resourceAttributes"]
            is_allowed = f"{wanted['verb']} {wanted['resource']}" not in self.api.denied
            return self._say(201, {**body, "status": {"allowed": is_allowed}})
        return self._send(404, b"404 page not found\n", "text/plain")

    def _create(self, key, body):
        unknown = _unknown(body) if key.kind == "jobs" and self.query.get("fieldValidation") == "Strict" else []
        if unknown:
            fields = ", ".join(f'unknown field "{one}"' for one in unknown)
            return self._refuse(400, f"strict decoding error: {fields}")
        if "dryRun" in self.query:
            return self._say(201, body)
        with self.api.store.changed:
            item = self.api.store.create(key, body)
            if item is not None and key.kind == "jobs":
                self.api.store.update(key, lambda job: job.update(status={"active": 1}))
                self.api.kubelet.add_pod(item)
        if item is None:
            return self._refuse(409, f'{key.kind} "{key.name}" already exists')
        return self._say(201, item)

    def _delete_all(self, found):
        items = [one for one in self.api.store.items(found["kind"], found["namespace"]) if is_selected(one, self.query)]
        for item in items:
            self.api.kubelet.delete(Key(found["kind"], found["namespace"], item["metadata"]["name"]))
        return self._say(200, {"items": items})

    def _log(self, pod):
        state = pod["status"].get("containerStatuses", [{}])[0].get("state", {})
        if "waiting" in state or not state:
            return self._refuse(400, f'container "step" in pod "{pod["metadata"]["name"]}" is waiting to start')
        lines = self.api.kubelet.log(pod).read_bytes().splitlines(keepends=True)
        text = b"".join(lines[-int(self.query.get("tailLines", len(lines) or 1)) :])
        return self._send(200, text[: int(self.query.get("limitBytes", len(text)))], "text/plain")

    def _list(self, found, *, is_stale):
        store = self.api.store
        with store.changed:
            newest = store.version
            if is_stale:  # what there was before the newest object
                made = [one for one in store.since(0, found["kind"], found["namespace"]) if one.type == "ADDED"]
                newest = made[-1].version - 1 if made else newest
        token = self.query.get("continue", "")
        version, first = map(int, token.split(":")) if token else (newest, 0)
        items = [
            one for one in store.items_at(version, found["kind"], found["namespace"]) if is_selected(one, self.query)
        ]
        after = first + int(self.query.get("limit", len(items) or 1))
        more = {"continue": f"{version}:{after}"} if after < len(items) else {}
        self._say(200, {"metadata": {"resourceVersion": str(version), **more}, "items": items[first:after]})

    def _watch(self, found, *, is_expired):
        store, version = self.api.store, int(self.query["resourceVersion"])
        until = time.monotonic() + float(self.query.get("timeoutSeconds", 60))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        before = {}
        if is_expired or version < store.oldest:
            error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            return self._lines([("ERROR", error)], is_last=True)
        self.wfile.flush()
        while True:
            changes, version = store.wait(version, found["kind"], found["namespace"], until)
            changes = [one for one in changes if is_selected(one.object, self.query)]
            sent = [(one.type, one.object) for one in self.api.faults.sent(changes, before)]
            if time.monotonic() >= until:
                mark = {"kind": found["kind"], "metadata": {"resourceVersion": str(version)}}
                return self._lines([*sent, ("BOOKMARK", mark)], is_last=True)
            self._lines(sent)

    def _lines(self, events, *, is_last=False):
        """Sends lines of a watch. With the last one the watch ends in order."""
        for kind, item in events:
            line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
            if self.is_torn or self.api.faults.take("LINE", urlsplit(self.path).path) == "cut":
                self._chunk(line[: len(line) // 2])
                self._break_off()
                raise ConnectionError("the test says so")
            self._chunk(line)
        if is_last:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _say(self, status, item):
        self._send(status, json.dumps(item).encode(), "application/json")

    def _refuse(self, status, message):
        reason = REASONS.get(status, "InternalError")
        self._say(status, {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message})

    def _send(self, status, content, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.is_torn:
            self.wfile.write(content[: len(content) // 2])
            return self._break_off()
        self.wfile.write(content)
        return self.wfile.flush()

    def _break_off(self):
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.request.shutdown(socket.SHUT_RDWR)


def patched(item, change):
    """A map after a merge patch: null removes."""
    result = {**item}
    for name, value in change.items():
        before = result.get(name)
        result[name] = patched(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return {name: value for name, value in result.items() if change.get(name, value) is not None}


def _unknown(job):
    """The paths of the fields that the server does not know."""
    spec = job.get("spec", {})
    return [*sorted(job.keys() - JOB), *(f"spec.{name}" for name in sorted(spec.keys() - JOB_SPEC))]
