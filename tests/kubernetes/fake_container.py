"""The containers of the fake cluster: processes on this machine.

Each has a mount namespace of its own, where its volumes and the file for its termination message are where a container
has them. Everything else it sees is this machine's.
"""

import base64
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.kubernetes.fake_store import Key, field

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
UNSHARE = ["unshare", "--mount", "--propagation", "private", *([] if os.geteuid() == 0 else ["--map-root-user"])]
# What is mounted is collected below /mnt first: a target may hide where another mount comes from, as /tmp does.
PREPARE = """
mount -t tmpfs none /mnt
mkdir /mnt/dev /mnt/dev/shm /mnt/sources
for name in {devices}; do
  if [ -e /dev/$name ]; then touch /mnt/dev/$name; mount --bind /dev/$name /mnt/dev/$name; fi
done
ln -s /proc/self/fd /mnt/dev/fd
touch /mnt/dev/termination-log
mount --bind {message} /mnt/dev/termination-log
{collect}
mount --rbind /mnt/dev /dev
mount -t tmpfs none /var/run
{place}
cd {directory}
exec "$@"
"""


def can_run_pods():
    """Whether mount namespaces may be made here."""
    with suppress(OSError):
        made = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
        return made.returncode == 0
    return False


class Containers:
    """Starts containers below a directory. `account`: the files of a service account. `address`: host and port of the
    API server."""

    def __init__(self, store, directory, account, address):
        self._store = store
        self._directory = directory
        self._account = account
        self._address = address

    def place(self, pod):
        """The directory with what a pod leaves: `log` and `termination-log`."""
        return self._directory / pod["metadata"]["uid"]

    def start(self, pod):
        """Starts the container of a pod, as a process."""
        container, place = pod["spec"]["containers"][0], self.place(pod)
        place.mkdir(parents=True)
        (place / "termination-log").touch()
        mounts = sorted((mount["mountPath"], self._volume(pod, mount["name"])) for mount in container["volumeMounts"])
        if pod["spec"].get("automountServiceAccountToken", True):
            mounts.append((ACCOUNT, self._account))
        quoted = [(shlex.quote(target), shlex.quote(str(source))) for target, source in mounts]
        collect = [f"mkdir /mnt/sources/{n}; mount --rbind {one} /mnt/sources/{n}" for n, (_, one) in enumerate(quoted)]
        place_all = [f"mkdir -p {to}; mount --rbind /mnt/sources/{n} {to}" for n, (to, _) in enumerate(quoted)]
        script = PREPARE.format(
            devices=" ".join(DEVICES),
            message=shlex.quote(str(place / "termination-log")),
            collect="\n".join(collect),
            place="\n".join(place_all),
            directory=shlex.quote(container.get("workingDir", "/")),
        )
        with (place / "log").open("wb") as log:
            return subprocess.Popen(
                [*UNSHARE, "sh", "-ec", script, "sh", *container["command"], *container.get("args", ())],
                env=self._environment(pod, container),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _volume(self, pod, name):
        """The directory with the content of a volume."""
        (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == name]
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        if "persistentVolumeClaim" in volume:
            directory = self._directory / "claims" / volume["persistentVolumeClaim"]["claimName"]
        else:
            directory = self.place(pod) / "volumes" / name
        directory.mkdir(parents=True, exist_ok=True)
        if "secret" in volume:
            for file, content in self._secret(pod, volume["secret"]["secretName"]).items():
                (directory / file).write_bytes(content)
        for source in volume.get("projected", {}).get("sources", ()):  # of these there are the account's files only
            files = (
                ["token"] if "serviceAccountToken" in source else [one["key"] for one in source["configMap"]["items"]]
            )
            for file in files:
                shutil.copy(self._account / file, directory / file)
        return directory

    def _secret(self, pod, name):
        secret = self._store.get(Key("secrets", pod["metadata"]["namespace"], name))
        return {key: base64.b64decode(value) for key, value in secret["data"].items()}

    def _environment(self, pod, container):
        host, port = self._address
        given = {"PATH": os.environ["PATH"], "HOME": "/", "HOSTNAME": pod["metadata"]["name"]}
        given |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
        for source in container.get("envFrom", ()):
            given |= {k: v.decode() for k, v in self._secret(pod, source["secretRef"]["name"]).items()}
        for one in container.get("env", ()):
            if "value" in one:
                given[one["name"]] = one["value"].replace("$$", "$")
            else:
                given[one["name"]] = str(field(pod, one["valueFrom"]["fieldRef"]["fieldPath"]) or "")
        return given


def send_signal(process, number):
    """Signals a container: to the end of it, when it is killed."""
    with suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        elif process.poll() is None:
            os.kill(process.pid, number)
