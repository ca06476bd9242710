"""Makes the image of deploy/Dockerfile without Docker: its steps on this machine, with the Python that runs here.

What is different: directories have the paths that they have here, the system's files are those of the test cluster's
image, and `useradd` is a line in /etc/passwd.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.deploy import dockerfile

IMAGE = Path(__file__).parent.parent / "kubernetes" / "cluster" / "image"
_STEP_S = 900


def build(name, target, work, packages):
    """Writes the image `name` into the file `target`. `packages` is the build argument PACKAGES."""
    _, build_stage, last = dockerfile.stages(dockerfile.instructions())
    places = {"/opt/orchestrator": work / "opt", "/wheels": work / "wheels", "/source": work / "source"}
    _carry_out(build_stage, places, {"PACKAGES": packages})
    base = work / "base.tar"
    python = places["/opt/orchestrator"] / "bin" / "python"
    # In isolated mode: the variables of this process must not lead to another environment.
    subprocess.run([python, "-I", IMAGE, name, base, "--busybox", "--python"], check=True, timeout=_STEP_S)
    _finish(base, target, last, places)
    base.unlink()


def _carry_out(stage, places, arguments):
    """The build stage: copies what it copies, runs what it runs."""
    source = places["/source"]
    source.mkdir(parents=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    binaries = f"{sys.base_prefix}/bin{os.pathsep}{inherited.get('PATH', '')}"
    environment = {**inherited, "PATH": binaries, **_but_no_cache(dockerfile.variables(stage)), **arguments}
    for instruction, rest in stage:
        if instruction == "COPY":
            *copied, to = rest.split()
            for one in copied:
                _copy(dockerfile.ROOT / one, source / (to if (dockerfile.ROOT / one).is_dir() else one))
        elif instruction == "RUN":
            command = _here(dockerfile.without_mounts(rest), places)
            done = subprocess.run(
                ["sh", "-euc", command], cwd=source, env=environment, capture_output=True, text=True, timeout=_STEP_S
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def _but_no_cache(variables):
    """An image must not keep pip's cache. These tests may."""
    return {name: value for name, value in variables.items() if name != "PIP_NO_CACHE_DIR"}


def _copy(path, to):
    if path.is_dir():
        shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, to)


def _here(text, places):
    for there, here in places.items():
        text = text.replace(there, str(here))
    return text


def _finish(base, target, stage, places):
    """The last stage: its environment, directory, user and command, and a layer with the user and the directory."""
    (workdir,) = dockerfile.values_of(stage, "WORKDIR")
    (user,) = dockerfile.values_of(stage, "USER")
    (command,) = dockerfile.values_of(stage, "CMD")
    layer = _layer(workdir, user)
    with tarfile.open(base) as old, tarfile.open(target, "w") as new:
        (manifest,) = json.load(old.extractfile("manifest.json"))
        config = json.load(old.extractfile(manifest["Config"]))
        path = dict(one.split("=", 1) for one in config["config"]["Env"])["PATH"]
        environment = {
            name: _here(value, places).replace("$PATH", path) for name, value in dockerfile.variables(stage).items()
        }
        config["config"] = {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Cmd": json.loads(command),
            "WorkingDir": workdir,
            "User": user,
        }
        digest = hashlib.sha256(layer).hexdigest()
        config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        blob = json.dumps(config).encode()
        for layer_file in manifest["Layers"]:
            new.addfile(old.getmember(layer_file), old.extractfile(layer_file))
        manifest["Layers"].append(f"{digest}.tar")
        manifest["Config"] = f"{hashlib.sha256(blob).hexdigest()}.json"
        _add(new, f"{digest}.tar", layer)
        _add(new, manifest["Config"], blob)
        _add(new, "manifest.json", json.dumps([manifest]).encode())


def _layer(workdir, user):
    uid, gid = user.split(":")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        directory = tarfile.TarInfo(workdir.strip("/"))
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        layer.addfile(directory)
        text = f"root:x:0:0:root:/root:/bin/sh\norchestrator:x:{uid}:{gid}::/home/orchestrator:/bin/sh\n"
        _add(layer, "etc/passwd", text.encode())
        _add(layer, "etc/group", f"root:x:0:\norchestrator:x:{gid}:\n".encode())
    return buffer.getvalue()


def _add(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
