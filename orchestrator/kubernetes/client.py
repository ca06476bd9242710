"""Sends requests to the API of a cluster: JSON in, JSON out. No Kubernetes library: each lacks something that is
promised: strict validation, exec plugins of version 1, or a watch that survives 410.

Every request has a timeout. A client may be used by several threads.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct, field

from orchestrator import clock
from orchestrator.distribution import install_command
from orchestrator.errors import ClusterRefused, ClusterUnreachable, ConfigError
from orchestrator.kubernetes.kubeconfig import Access, Credentials, find_access

REQUEST_S = 15.0
_NO_API = "What answers there is no API server of Kubernetes: a proxy, or a page to log in."
_RENEW = "Renew the token or certificate of the kubeconfig: it is wrong, expired or revoked."


class Call(Struct, frozen=True):
    """One request. `timeout`: seconds in which nothing may come."""

    method: str
    path: str
    body: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    timeout: float = REQUEST_S
    is_stream: bool = False


class Client:
    """A connection to one cluster. Raises ConfigError when the extra is not installed."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._credentials = Credentials(access)
        self._certificate = _pair(access)
        self._pool = _pool(access, self._certificate)

    @classmethod
    def find(cls, context: str | None, namespace: str | None, environment: Mapping[str, str] = os.environ) -> Client:
        """The client for the cluster that is meant. Raises ConfigError."""
        return cls(find_access(context, namespace, environment))

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, str] | None = None
    ) -> Any:
        """The answer as JSON. Raises ClusterRefused and ClusterUnreachable."""
        data = None if body is None else json.dumps(body).encode()
        raw = self._open(Call(method, path, data, query or {})).data
        try:
            return json.loads(raw)
        except ValueError as error:
            said = " ".join(raw[:200].decode(errors="replace").split())
            raise ClusterUnreachable(f"{self.access.server} gave no JSON: {said}", hint=_NO_API) from error

    def text(self, path: str, query: Mapping[str, str], timeout: float) -> bytes:
        """The answer as it is: a log."""
        content: bytes = self._open(Call("GET", path, query=query, timeout=timeout)).data
        return content

    def lines(self, path: str, query: Mapping[str, str], timeout: float) -> Iterator[bytes]:
        """The lines of an answer as they come, without an incomplete last one. See `chunks`."""
        rest = b""
        for chunk in self.chunks(path, query, timeout):
            *complete, rest = (rest + chunk).split(b"\n")
            yield from complete

    def chunks(self, path: str, query: Mapping[str, str], timeout: float) -> Iterator[bytes]:
        """An answer as it comes, until the server ends it. `timeout`: how long nothing may come. Raises ClusterRefused
        and ClusterUnreachable."""
        import urllib3

        answer = self._open(Call("GET", path, query=query, timeout=timeout, is_stream=True))
        try:
            yield from answer.read_chunked(decode_content=True) if answer.chunked else answer.stream(1 << 16)
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnreachable(f"The API server of {self.access.server} broke off: {error}") from error
        finally:
            answer.release_conn()
            answer.close()

    # --- inside ---

    def _open(self, call: Call) -> Any:
        answer = self._once(call)
        if answer.status == 401:  # the token may have expired
            answer.close()
            answer = self._once(call, again=True)
        if answer.status >= 300 or "html" in answer.headers.get("Content-Type", ""):
            raise _problem(answer, self.access.server)
        return answer

    def _once(self, call: Call, *, again: bool = False) -> Any:
        import urllib3

        query = f"?{urlencode(call.query)}" if call.query else ""
        kind = "application/merge-patch+json" if call.method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": kind, **self._authorization(again)}
        try:
            return self._pool.request(
                call.method,
                f"{self.access.server}{call.path}{query}",
                body=call.body,
                headers=headers,
                timeout=urllib3.Timeout(connect=REQUEST_S, read=call.timeout),
                retries=False,
                preload_content=not call.is_stream,
            )
        except urllib3.exceptions.HTTPError as error:
            message = f"The API server {self.access.server} does not answer: {_words(error)}."
            raise ClusterUnreachable(message) from error

    def _authorization(self, again: bool) -> dict[str, str]:
        import urllib3

        token = self._credentials.token(clock.now(), again=again)
        given = self._credentials.certificate
        if given is not None and given != self._certificate:
            self._certificate, self._pool = given, _pool(self.access, given)
        if token:
            return {"Authorization": f"Bearer {token}"}
        if self.access.username:
            basic = f"{self.access.username}:{self.access.password or ''}"
            return dict(urllib3.make_headers(basic_auth=basic))
        return {}


def _pair(access: Access) -> tuple[bytes, bytes] | None:
    return None if access.certificate is None or access.key is None else (access.certificate, access.key)


def _pool(access: Access, certificate: tuple[bytes, bytes] | None) -> Any:
    try:
        import urllib3
    except ImportError:
        raise ConfigError(
            "The executor 'kubernetes' needs the package urllib3, which is not installed.",
            hint=f"Install it with `{install_command(sys.executable, 'kubernetes')}`.",
        ) from None
    options: dict[str, Any] = {"maxsize": 24, "block": False, "ssl_context": _tls(access, certificate)}
    if access.server_name:
        options |= {"server_hostname": access.server_name, "assert_hostname": access.server_name}
    if access.is_insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return urllib3.ProxyManager(access.proxy, **options) if access.proxy else urllib3.PoolManager(**options)


def _tls(access: Access, certificate: tuple[bytes, bytes] | None) -> ssl.SSLContext:
    """How to tell that the server is the right one, and to show who we are. Raises ConfigError."""
    try:
        authority = None if access.authority is None else access.authority.decode()
        context = ssl.create_default_context(cadata=authority)
        if access.is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate is not None:
            _show(context, certificate)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(f"A certificate or key of the kubeconfig cannot be used: {error}.") from error
    return context


def _show(context: ssl.SSLContext, certificate: tuple[bytes, bytes]) -> None:
    """Loads a certificate with its key. Python reads them from a file only: there is one for that moment."""
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.write(b"\n".join(certificate))
        file.flush()
        context.load_cert_chain(file.name)


def _problem(answer: Any, server: str) -> ClusterRefused | ClusterUnreachable:
    """What is wrong, from an answer that is not the one. Only what an API server itself says is a refusal: a proxy on
    the way and credentials that have expired say nothing about what was asked for."""
    raw = _content(answer)
    said = _status_in(raw)
    text = " ".join(raw.decode(errors="replace").split())[:200]
    message = str((said or {}).get("message") or (said or {}).get("reason") or text)
    if answer.status == 429 or answer.status >= 500:
        return ClusterUnreachable(f"The API server is busy or broken (HTTP {answer.status}): {message}")
    if answer.status == 401:
        return ClusterUnreachable(
            f"The API server {server} does not accept the credentials (HTTP 401): {message}",
            hint=_RENEW,
        )
    if said is None:
        return ClusterUnreachable(
            f"What answers at {server} is not an API server (HTTP {answer.status}): {text}",
            hint=_NO_API,
        )
    refused = ClusterRefused(message or f"HTTP {answer.status}")
    refused.status, refused.reason = answer.status, str(said.get("reason", ""))
    return refused


def _content(answer: Any) -> bytes:
    """The content of an answer, as far as it can be read. Closes the answer."""
    import urllib3

    try:
        content: bytes = answer.data or b""
        return content
    except urllib3.exceptions.HTTPError:
        return b""
    finally:
        answer.close()


def _status_in(raw: bytes) -> Mapping[str, Any] | None:
    """The Status object that an API server refuses with; None when it is something else."""
    try:
        said = json.loads(raw)
    except ValueError:
        return None
    return said if isinstance(said, dict) and "message" in said else None


def _words(error: Exception) -> str:
    """The innermost reason, without the names of connections."""
    reason = getattr(error, "reason", None) or error
    text = str(reason)
    return text.rpartition(": ")[2] if "object at 0x" in text else text
