"""Which clusters are supported, by what they say of their version."""

import pytest

from orchestrator.service.cluster_check import check_version


@pytest.mark.parametrize(
    ("name", "is_well"),
    [
        ("v1.31.0", True),
        ("v1.35.4", True),
        ("v1.34.2-eks-1a2b", True),
        ("v1.33.5+k3s1", True),
        ("v2.0.0", True),
        ("v1.30.14", False),
        ("v1.9.0", False),
        ("v0.99.0", False),
    ],
)
def test_a_cluster_is_new_enough_or_is_said_to_be_too_old(name, is_well):
    found = check_version("https://c answers", {"gitVersion": name}, "data")
    assert found.is_well is is_well
    assert found.what.startswith(f"https://c answers: Kubernetes {name}, namespace data")
    assert is_well or ("older than 1.31" in found.what and "1.31 is the oldest" in found.hint)


@pytest.mark.parametrize("version", [{}, [], None, {"gitVersion": "latest"}, {"gitVersion": None}])
def test_what_is_no_version_is_said(version):
    found = check_version("https://c answers", version, "data")
    assert not found.is_well
    assert "that is no version" in found.what
