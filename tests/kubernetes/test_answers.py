"""What the client makes of answers that are not what was asked for."""

import http.server
import threading
from urllib.parse import unquote

import pytest

from orchestrator.errors import ClusterRefused, ClusterUnreachable
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.kubeconfig import Access


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers `/STATUS/TEXT` with that status and text."""

    def do_GET(self):
        _, status, text = self.path.split("/", 2)
        content = unquote(text).encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def client():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Client(Access(server=f"http://127.0.0.1:{server.server_port}", namespace="n", token="t"))
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/401/{}", ClusterUnreachable, "does not accept the credentials (HTTP 401)"),
        ("/429/{}", ClusterUnreachable, "busy or broken (HTTP 429)"),
        ("/500/{}", ClusterUnreachable, "busy or broken (HTTP 500)"),
        ("/200/<html>please", ClusterUnreachable, "gave no JSON: <html>please"),
    ],
)
def test_what_may_be_mended_is_asked_again_and_what_was_decided_is_not(client, path, kind, words):
    with pytest.raises((ClusterRefused, ClusterUnreachable)) as raised:
        client.request("GET", path)
    assert isinstance(raised.value, kind)
    assert words in raised.value.message
