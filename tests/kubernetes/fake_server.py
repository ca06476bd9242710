"""The server of the fake API: it can be stopped and started again at its address."""

import socket
import ssl
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer

from tests.kubernetes.fake_api import Handler


class Server(ThreadingHTTPServer):
    """Answers at the same address however often it is stopped and started."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, api, context, port):
        self.api, self.context = api, context
        self._lock = threading.Lock()
        self._open = set()
        super().__init__(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def opened(self, connection):
        with self._lock:
            self._open.add(connection)

    def closed(self, connection):
        with self._lock:
            self._open.discard(connection)

    def handle_error(self, request, client_address):
        """A connection that breaks off is what many of the tests are about."""

    def stop(self):
        """Refuses connections from here on, and breaks off those there are."""
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class Api:
    """The API server. `certificate`: paths of a certificate and its key."""

    def __init__(self, store, faults, certificate):
        self.store, self.faults = store, faults
        self.kubelet = None
        self.denied = set()  # verbs and resources that reviews refuse, as `create jobs`
        self.requests = []  # method and path of each, in the order in which they came
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*map(str, certificate))
        self._server = Server(self, self._context, 0)
        self.port = self._server.server_address[1]

    def stop(self):
        if self._server is not None:
            self._server.stop()
            self._server = None

    def start(self):
        """Answers again. What was watched before is too old by then."""
        self.store.restarted()
        self._server = Server(self, self._context, self.port)
