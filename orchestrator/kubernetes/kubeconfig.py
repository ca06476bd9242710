"""Finds the cluster and the credentials: a kubeconfig, or the service account of the pod that this process runs in."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator import clock
from orchestrator.errors import ConfigError
from orchestrator.typed import plain
from orchestrator.yaml_text import read_yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Tokens in files are replaced by the kubelet before they expire, as client libraries expect.
_READ_AGAIN = timedelta(minutes=1)
_PLUGIN_S = 60.0
_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True)
class Access:
    """Where a cluster is and how to show who we are. Certificates and keys are PEM. `exec` is a plugin that gives a
    token or a certificate."""

    server: str
    namespace: str
    authority: bytes | None = None
    is_insecure: bool = False
    server_name: str | None = None
    proxy: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    exec: Mapping[str, Any] | None = None
    context: str = ""


@dataclass
class Credentials:
    """Who we are at present: a bearer token, or a certificate that a plugin gave (PEM, with its key)."""

    access: Access
    _token: str | None = field(default=None, repr=False)
    _good_until: datetime | None = None
    certificate: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def token(self, now: datetime, *, again: bool = False) -> str | None:
        """The token, read or made again when that is due or, after a refusal, when `again` says so. Raises
        ConfigError."""
        if self.access.token is not None:
            return self.access.token
        if not again and self._good_until is not None and now < self._good_until:
            return self._token
        if self.access.token_file is not None:
            try:
                self._token = Path(self.access.token_file).read_text().strip()
            except OSError as error:
                raise ConfigError(f"The token of the cluster cannot be read: {error}.") from error
            self._good_until = now + _READ_AGAIN
        elif self.access.exec is not None:
            self._token, self._good_until, self.certificate = _from_plugin(self.access.exec, now)
        return self._token


def find_access(context: str | None, namespace: str | None, environment: Mapping[str, str]) -> Access:
    """The cluster that is meant: a named context of the kubeconfig; else the one this process runs in; else the current
    context. Raises ConfigError."""
    if context is None and "KUBERNETES_SERVICE_HOST" in environment and (ACCOUNT / "token").exists():
        return _in_cluster(environment, namespace)
    return _from_files(_files(environment), context, namespace)


def _in_cluster(environment: Mapping[str, str], namespace: str | None) -> Access:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    own = (ACCOUNT / "namespace").read_text().strip() if (ACCOUNT / "namespace").exists() else "default"
    return Access(
        server=f"https://{host}:{port}",
        namespace=namespace or own,
        authority=_read(ACCOUNT / "ca.crt"),
        token_file=str(ACCOUNT / "token"),
        context="(in the cluster)",
    )


def _files(environment: Mapping[str, str]) -> list[Path]:
    named = environment.get("KUBECONFIG")
    if named:
        return [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return [Path("~/.kube/config").expanduser()]


def _from_files(files: list[Path], context: str | None, namespace: str | None) -> Access:
    merged = _merged(files)
    name = context or merged["current"]
    if not name:
        raise ConfigError(
            "No Kubernetes cluster is configured.",
            hint=f"There is no kubeconfig with a current context ({', '.join(map(str, files))}). Set KUBECONFIG, or"
            " `kubernetes: {context: NAME}` in the workspace file.",
        )
    chosen = _named(merged["contexts"], name, "context")
    cluster = _named(merged["clusters"], chosen.get("cluster", ""), "cluster")
    user = _named(merged["users"], chosen["user"], "user") if chosen.get("user") else {}
    if not cluster.get("server"):
        raise ConfigError(f"The cluster {chosen.get('cluster')!r} of the kubeconfig has no `server`.")
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        namespace=namespace or chosen.get("namespace") or "default",
        authority=_pem(cluster, "certificate-authority"),
        is_insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        token=user.get("token"),
        token_file=_path(user, "tokenFile"),
        certificate=_pem(user, "client-certificate"),
        key=_pem(user, "client-key"),
        username=user.get("username"),
        password=user.get("password"),
        exec=user.get("exec"),
        context=name,
    )


def _merged(files: list[Path]) -> dict[str, Any]:
    """All files as one: of two entries with one name, and of two current contexts, the first counts."""
    merged: dict[str, Any] = {"contexts": {}, "clusters": {}, "users": {}, "current": ""}
    for path in files:
        try:
            read = plain(read_yaml(path.read_text()).data)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ConfigError(f"The kubeconfig {path} cannot be read: {error}.") from error
        if not isinstance(read, dict):
            continue
        merged["current"] = merged["current"] or read.get("current-context") or ""
        for kind in ("contexts", "clusters", "users"):
            for entry in read.get(kind) or ():
                value = dict(entry.get(kind[:-1]) or {}, _beside=path.parent)
                merged[kind].setdefault(entry.get("name"), value)
    return merged


def _named(entries: Mapping[str, Any], name: str, kind: str) -> dict[str, Any]:
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise ConfigError(f"The kubeconfig has no {kind} {name!r}.", hint=f"Available: {known}.")
    found: dict[str, Any] = entries[name]
    return found


def _path(entry: Mapping[str, Any], key: str) -> str | None:
    """A path in the kubeconfig, relative to the file that it stands in."""
    return str(Path(entry["_beside"]) / entry[key]) if entry.get(key) else None


def _pem(entry: Mapping[str, Any], key: str) -> bytes | None:
    """A certificate or key: it stands in the kubeconfig, or in a file that is named there."""
    data = entry.get(f"{key}-data")
    if data:
        return base64.b64decode(data)
    path = _path(entry, key)
    return None if path is None else _read(Path(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}, which the kubeconfig names, cannot be read: {error.strerror}.") from error


def _from_plugin(plugin: Mapping[str, Any], now: datetime) -> tuple[str | None, datetime | None, Any]:
    """What an exec plugin says: token, until when it is good, certificate and key. Raises ConfigError."""
    command, version = str(plugin.get("command", "")), plugin.get("apiVersion")
    if version not in _PLUGIN_VERSIONS:
        raise ConfigError(f"The kubeconfig names the plugin {command!r} of version {version!r}, which is not known.")
    given = {one["name"]: one["value"] for one in plugin.get("env") or ()}
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        done = subprocess.run(
            [command, *(plugin.get("args") or ())],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PLUGIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        hint = plugin.get("installHint")
        raise ConfigError(f"The plugin {command!r} of the kubeconfig did not run: {error}.", hint=hint) from error
    if done.returncode != 0:
        raise ConfigError(f"The plugin {command!r} of the kubeconfig failed: {done.stderr.strip() or done.returncode}.")
    try:
        status = json.loads(done.stdout)["status"]
        expires = status.get("expirationTimestamp")
        until = clock.parse_instant(expires) if expires else now + timedelta(minutes=10)
        certificate = None
        if status.get("clientCertificateData"):
            certificate = (status["clientCertificateData"].encode(), status["clientKeyData"].encode())
        return status.get("token"), until, certificate
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"The plugin {command!r} of the kubeconfig gave no credentials: {error}.") from error
