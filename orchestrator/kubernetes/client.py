"""Sends requests to the API of a cluster: JSON in, JSON out. No Kubernetes library: each lacks something that is
promised: strict validation, exec plugins of version 1, or a watch that survives 410.

Every request has a timeout. A client may be used by several threads.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from orchestrator import clock
from orchestrator.distribution import install_command
from orchestrator.errors import ClusterRefused, ClusterUnreachable, ConfigError
from orchestrator.kubernetes.kubeconfig import Access, Credentials, find_access

REQUEST_S = 15.0


class Client:
    """A connection to one cluster. Raises ConfigError when the extra is not installed."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._credentials = Credentials(access)
        self._pool = _pool(access)

    @classmethod
    def find(cls, context: str | None, namespace: str | None, environment: Mapping[str, str] = os.environ) -> Client:
        """The client for the cluster that is meant. Raises ConfigError."""
        return cls(find_access(context, namespace, environment))

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float = REQUEST_S,
    ) -> Any:
        """The answer as JSON. Raises ClusterRefused and ClusterUnreachable."""
        data = None if body is None else json.dumps(body).encode()
        raw = self._send(method, path, data, query, content_type, timeout)
        try:
            return json.loads(raw)
        except ValueError as error:
            raise ClusterUnreachable(f"The API server of {self.access.server} gave no JSON: {raw[:200]!r}") from error

    def text(self, path: str, query: Mapping[str, str] | None = None, timeout: float = REQUEST_S) -> bytes:
        """The answer as it is: a log."""
        return self._send("GET", path, None, query, "application/json", timeout)

    def lines(self, path: str, query: Mapping[str, str], timeout: float) -> Iterator[bytes]:
        """The lines of an answer that goes on, as they come; ends when the server ends it. `timeout`: how long nothing
        may come. Raises ClusterRefused and ClusterUnreachable."""
        import urllib3

        answer = self._open("GET", path, None, query, "application/json", timeout, stream=True)
        rest = b""
        try:
            for chunk in answer.stream(1 << 16):
                *complete, rest = (rest + chunk).split(b"\n")
                yield from complete
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnreachable(f"The API server of {self.access.server} broke off: {error}") from error
        finally:
            answer.release_conn()
            answer.close()

    # --- inside ---

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str] | None,
        content_type: str,
        timeout: float,
    ) -> bytes:
        answer = self._open(method, path, data, query or {}, content_type, timeout, stream=False)
        content: bytes = answer.data
        return content

    def _open(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str],
        content_type: str,
        timeout: float,
        *,
        stream: bool,
    ) -> Any:
        for again in (False, True):
            answer = self._once(method, path, data, query, content_type, timeout, stream, again)
            if answer.status != 401 or again:
                break
            answer.close()
        if answer.status >= 400:
            raise _refusal(answer)
        return answer

    def _once(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str],
        content_type: str,
        timeout: float,
        stream: bool,
        again: bool,
    ) -> Any:
        import urllib3

        target = self.access.server + path
        if query:
            target += "?" + urlencode(query)
        try:
            return self._pool.request(
                method,
                target,
                body=data,
                headers={"Accept": "application/json", "Content-Type": content_type, **self._authorization(again)},
                timeout=urllib3.Timeout(connect=REQUEST_S, read=timeout),
                retries=False,
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnreachable(
                f"The API server {self.access.server} does not answer: {_words(error)}."
            ) from error

    def _authorization(self, again: bool) -> dict[str, str]:
        import urllib3

        token = self._credentials.token(_now(), again=again)
        if token:
            return {"Authorization": f"Bearer {token}"}
        if self.access.username:
            basic = f"{self.access.username}:{self.access.password or ''}"
            return dict(urllib3.make_headers(basic_auth=basic))
        return {}


def _now() -> datetime:
    return clock.now()


def _pool(access: Access) -> Any:
    try:
        import urllib3
    except ImportError:
        raise ConfigError(
            "The executor 'kubernetes' needs the package urllib3, which is not installed.",
            hint=f"Install it with `{install_command(sys.executable, 'kubernetes')}`.",
        ) from None
    options: dict[str, Any] = {
        "maxsize": 24,
        "block": False,
        "cert_reqs": "CERT_NONE" if access.is_insecure else "CERT_REQUIRED",
        "ca_certs": access.authority,
        "cert_file": access.certificate,
        "key_file": access.key,
    }
    if access.server_name:
        options |= {"server_hostname": access.server_name, "assert_hostname": access.server_name}
    if access.is_insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    proxy = access.proxy
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _refusal(answer: Any) -> ClusterRefused | ClusterUnreachable:
    raw = answer.data if answer.data is not None else b""
    try:
        said = json.loads(raw)
        reason, message = str(said.get("reason", "")), str(said.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", raw.decode(errors="replace")[:500]
    if answer.status == 429 or answer.status >= 500:
        return ClusterUnreachable(f"The API server is busy or broken (HTTP {answer.status}): {message or reason}")
    refused = ClusterRefused(message or f"HTTP {answer.status}")
    refused.status, refused.reason = answer.status, reason
    return refused


def _words(error: Exception) -> str:
    """The innermost reason, without the names of connections."""
    reason = getattr(error, "reason", None) or error
    text = str(reason)
    return text.rpartition(": ")[2] if "object at 0x" in text else text
