"""Every row of the benchmark that needs a cluster can be measured. No test asserts a time."""

import pytest

from tests.benchmarks import kubernetes
from tests.benchmarks.measure import Size
from tests.benchmarks.run import print_table
from tests.benchmarks.test_rows import calibration, unmeasured


class Running:
    """The cluster of the tests, where the benchmark would start one of its own."""

    def __init__(self, cluster):
        self._cluster = cluster

    def find(self):
        return self._cluster


class Missing:
    """A machine on which no cluster can be started."""

    def find(self):
        return None


@pytest.mark.long
def test_every_row_of_kubernetes_can_be_measured_in_a_tiny_size(tmp_path, cluster, capsys):
    rows = [row for _, measure in kubernetes.rows(tmp_path, Running(cluster), Size(is_tiny=True)) for row in measure()]
    assert unmeasured(rows) == []
    print_table([(row, calibration()) for row in rows], markdown=True)
    table = capsys.readouterr().out
    assert table.count("\n| ") == len(rows), table
    assert "| Job created to user code running, " in table


def test_where_there_can_be_no_cluster_its_rows_are_left_out(tmp_path):
    measures = kubernetes.rows(tmp_path, Missing(), Size(is_tiny=True))
    assert measures
    assert all(name.startswith("kubernetes ") for name, _ in measures)
    assert [row for _, measure in measures for row in measure()] == []
