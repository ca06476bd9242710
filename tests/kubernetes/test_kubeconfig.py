"""Which cluster is meant and how we show who we are: kubeconfig files as kubectl reads them."""

import base64
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from orchestrator.errors import ConfigError
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.kubeconfig import Access, Credentials, find_access

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def config(name="dev", server="https://one:6443", user=None, cluster=None, namespace=None, current=True):
    context = {"cluster": name, "user": name, **({"namespace": namespace} if namespace else {})}
    return {
        **({"current-context": name} if current else {}),
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": {"token": "t"} if user is None else user}],
    }


@pytest.fixture
def write(tmp_path):
    """Writes kubeconfig files; the environment that names them."""

    def files(*configs):
        paths = []
        for number, one in enumerate(configs):
            path = tmp_path / f"config{number}"
            path.write_text(one if isinstance(one, str) else yaml.safe_dump(one))
            paths.append(str(path))
        return {"KUBECONFIG": ":".join(paths)}

    return files


def test_the_current_context_is_meant_unless_another_is_named(write):
    environment = write(config("dev"), config("prod", "https://two:6443", namespace="data", current=False))
    assert find_access(None, None, environment).server == "https://one:6443"
    prod = find_access("prod", None, environment)
    assert (prod.server, prod.namespace, prod.token) == ("https://two:6443", "data", "t")
    assert find_access("prod", "mine", environment).namespace == "mine"


def test_of_two_files_the_first_counts(write):
    environment = write(config("dev", "https://first"), config("dev", "https://second"))
    assert find_access(None, None, environment).server == "https://first"


def test_certificates_are_files_beside_the_kubeconfig_or_stand_in_it(write, tmp_path):
    (tmp_path / "ca.crt").write_bytes(b"authority")
    data = base64.b64encode(b"certificate").decode()
    cluster = {"certificate-authority": "ca.crt", "tls-server-name": "kube", "proxy-url": "http://proxy:1"}
    user = {"client-certificate-data": data, "client-key-data": data}
    access = find_access(None, None, write(config(cluster=cluster, user=user)))
    assert access.authority == b"authority"
    assert (access.server_name, access.proxy) == ("kube", "http://proxy:1")
    assert (access.certificate, access.key) == (b"certificate", b"certificate")
    assert list(tmp_path.glob("**/orchestrator-kube-*")) == [], "a key is never copied to a place where it stays"


def test_a_certificate_that_is_not_there_is_named(write, tmp_path):
    with pytest.raises(ConfigError, match=r"ca\.crt, which the kubeconfig names, cannot be read"):
        find_access(None, None, write(config(cluster={"certificate-authority": "ca.crt"})))


def test_a_certificate_that_is_none_is_refused_when_it_is_used(write):
    data = base64.b64encode(b"nonsense").decode()
    access = find_access(None, None, write(config(cluster={"certificate-authority-data": data})))
    with pytest.raises(ConfigError, match="cannot be used"):
        Client(access)


def test_a_plugin_may_give_a_certificate(tmp_path):
    body = """
import json
status = {"clientCertificateData": "CERT", "clientKeyData": "KEY"}
print(json.dumps({"status": status}))
"""
    credentials = Credentials(Access("https://x", "default", exec=plugin(tmp_path, body)))
    assert credentials.token(NOW) is None
    assert credentials.certificate == (b"CERT", b"KEY")


@pytest.mark.parametrize(
    ("given", "context", "problem"),
    [
        ({}, None, "No Kubernetes cluster is configured."),
        (config("dev"), "prod", "The kubeconfig has no context 'prod'."),
        ({**config("dev"), "clusters": []}, None, "The kubeconfig has no cluster 'dev'."),
        ({**config("dev"), "users": []}, None, "The kubeconfig has no user 'dev'."),
        ("a: [", None, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_said(write, given, context, problem):
    with pytest.raises(ConfigError, match=problem.replace(".", r"\.")):
        find_access(context, None, write(given))


def test_without_any_file_it_is_said_where_one_was_looked_for(tmp_path):
    with pytest.raises(ConfigError) as caught:
        find_access(None, None, {"KUBECONFIG": str(tmp_path / "none")})
    assert str(tmp_path / "none") in caught.value.hint


def test_a_token_file_is_read_again_every_minute_and_after_a_refusal(tmp_path):
    path = tmp_path / "token"
    path.write_text("one\n")
    credentials = Credentials(Access("https://x", "default", token_file=str(path)))
    assert credentials.token(NOW) == "one"
    path.write_text("two\n")
    assert credentials.token(NOW + timedelta(seconds=59)) == "one"
    assert credentials.token(NOW + timedelta(seconds=59), again=True) == "two"
    path.write_text("three\n")
    assert credentials.token(NOW + timedelta(seconds=125)) == "three"


def plugin(tmp_path, body, version="client.authentication.k8s.io/v1"):
    path = tmp_path / "plugin.py"
    path.write_text(body)
    return {"apiVersion": version, "command": sys.executable, "args": [str(path)], "env": [{"name": "A", "value": "b"}]}


SAYS = """
import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
with open("{count}", "a") as file:
    file.write("x")
count = len(open("{count}").read())
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status":
    {{"token": f"t{{count}}-{{os.environ['A']}}", "expirationTimestamp": "2026-11-01T00:10:00Z"}}}}))
"""


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
def test_a_plugin_is_asked_again_when_its_token_expires(tmp_path, version):
    body = SAYS.format(count=tmp_path / "count")
    credentials = Credentials(Access("https://x", "default", exec=plugin(tmp_path, body, version)))
    assert credentials.token(NOW) == "t1-b"
    assert credentials.token(NOW + timedelta(minutes=9)) == "t1-b"
    assert credentials.token(NOW + timedelta(minutes=11)) == "t2-b"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("import sys; sys.exit('log in first')", "failed: log in first"),
        ("print('nonsense')", "gave no credentials"),
        ("print('{}')", "gave no credentials"),
    ],
)
def test_a_plugin_that_fails_is_named_with_what_it_said(tmp_path, body, problem):
    credentials = Credentials(Access("https://x", "default", exec=plugin(tmp_path, body)))
    with pytest.raises(ConfigError, match=problem):
        credentials.token(NOW)


def test_a_plugin_of_a_version_that_is_not_known_is_refused(tmp_path):
    unknown = plugin(tmp_path, "", "client.authentication.k8s.io/v9")
    credentials = Credentials(Access("https://x", "default", exec=unknown))
    with pytest.raises(ConfigError, match="which is not known"):
        credentials.token(NOW)


def test_nothing_of_a_token_is_in_what_an_access_looks_like():
    assert json.dumps(str(Access("https://x", "default", token="s3cr3t"))).count("s3cr3t") == 0
