"""A fake cluster for tests: an API server with faults, and pods that are processes on this machine."""

import datetime
import ipaddress
import os
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kubernetes.fake_container import can_run_pods
from tests.kubernetes.fake_faults import Faults
from tests.kubernetes.fake_kubelet import Kubelet
from tests.kubernetes.fake_server import Api
from tests.kubernetes.fake_store import Store

ROOT = Path(__file__).parent.parent.parent
NAMESPACE = "fake"
TOKEN = "a token that is good"


class FakeCluster:
    """`api` is its API server, `faults` what goes wrong there, `store` what it holds, `kubelet` what runs its pods."""

    def __init__(self, directory, certificate):
        self.directory = directory
        self.store, self.faults = Store(), Faults()
        self.api = Api(self.store, self.faults, certificate)
        account = directory / "account"
        account.mkdir(parents=True)
        (account / "token").write_text(TOKEN)
        (account / "namespace").write_text(NAMESPACE)
        (account / "ca.crt").write_bytes(certificate[0].read_bytes())
        self.kubelet = self.api.kubelet = Kubelet(self.store, directory, account, ("127.0.0.1", self.api.port))
        self.kubeconfig = directory / "kubeconfig"
        cluster = {"server": f"https://127.0.0.1:{self.api.port}", "certificate-authority": str(certificate[0])}
        config = {
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "owner", "namespace": NAMESPACE}}],
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "owner", "user": {"token": TOKEN}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def section(self, workspace, **more):
        """The `kubernetes` section of a workspace file whose pods run this environment."""
        paths = {str(ROOT), str(workspace), sys.prefix, sys.base_prefix}
        shown = [path for path in sorted(paths) if path == str(workspace) or path.startswith("/tmp/")]
        container = {
            "name": "step",
            "command": [sys.executable, "-P", "-m", "orchestrator.worker.in_pod"],
            "workingDir": str(workspace),
            "volumeMounts": [{"name": f"host-{n}", "mountPath": path} for n, path in enumerate(shown)],
            "env": [{"name": "PYTHONPATH", "value": f"{ROOT}{os.pathsep}{sysconfig.get_path('purelib')}"}],
        }
        volumes = [{"name": f"host-{n}", "hostPath": {"path": path}} for n, path in enumerate(shown)]
        return {"namespace": NAMESPACE, "pod": {"volumes": volumes, "containers": [container]}, **more}

    def until_ended(self):
        """The Jobs, once all of them have ended."""
        with self.store.changed:
            ended = self.store.changed.wait_for(
                lambda: all("conditions" in job["status"] for job in self.store.items("jobs")), timeout=60
            )
            assert ended, "the Jobs never ended"
            return self.store.items("jobs")

    def left(self):
        """What there is, by kind and name."""
        kinds = ("jobs", "pods", "secrets", "leases")
        return [f"{kind}/{one['metadata']['name']}" for kind in kinds for one in self.store.items(kind)]

    def close(self):
        self.faults.clear()
        self.kubelet.close()
        self.api.stop()


@pytest.fixture(scope="session")
def fake_certificate(tmp_path_factory):
    """The paths of a certificate for this machine, which is its own authority, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("certificate")
    pem, pkcs = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (directory / "crt").write_bytes(certificate.public_bytes(pem))
    (directory / "key").write_bytes(key.private_bytes(pem, pkcs, serialization.NoEncryption()))
    return directory / "crt", directory / "key"


@pytest.fixture
def fake(tmp_path_factory, fake_certificate):
    """A fake cluster of the test's own."""
    if not can_run_pods():
        pytest.skip("No fake cluster: mount namespaces may not be made here.")
    cluster = FakeCluster(tmp_path_factory.mktemp("fake"), fake_certificate)
    yield cluster
    cluster.close()
