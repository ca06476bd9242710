"""The shipped IO managers keep the contract that others may test theirs by, and the contract finds what breaks it."""

import pyarrow as pa
import pytest

from orchestrator import IOManager
from orchestrator.io_managers.duckdb import DuckDBIOManager
from orchestrator.io_managers.filesystem import FilesystemIOManager
from orchestrator.io_managers.memory import MemoryIOManager
from orchestrator.io_managers.parquet import ParquetIOManager
from orchestrator.testing import IOManagerContract

TABLES = [pa.table({"a": [1, 2]}), pa.table({"b": ["x"]})]


class Place:
    @pytest.fixture(autouse=True)
    def place(self, tmp_path):
        self.path = tmp_path


class TestFilesystem(Place, IOManagerContract):
    def manager(self):
        return FilesystemIOManager(str(self.path))


class TestMemory(IOManagerContract):
    is_shared = False

    def manager(self):
        return MemoryIOManager()


class TestParquet(Place, IOManagerContract):
    values = TABLES

    def manager(self):
        return ParquetIOManager(str(self.path))


class TestParquetAtOnePlace(TestParquet):
    """Every run writes to the same path."""

    output_metadata = {"path": "fixed.parquet"}  # noqa: RUF012

    def test_outputs_steps_and_mapping_keys_do_not_mix(self):
        pytest.skip("two outputs of a run at one place are refused")

    test_a_value_comes_back_as_it_was = test_outputs_steps_and_mapping_keys_do_not_mix


class TestDuckDB(Place, IOManagerContract):
    values = TABLES

    def manager(self):
        return DuckDBIOManager(str(self.path / "values.duckdb"))


def broken(**methods):
    """The contract over a manager that keeps values by step in a dictionary, and does something wrong."""
    kept = {}

    class Manager(IOManager):
        def handle_output(self, context, obj):
            kept[methods.get("place", lambda c: c.identifier())(context)] = obj

        def load_input(self, context):
            return methods.get("load", lambda found: found)(
                kept[methods.get("place", lambda c: c.identifier())(context.upstream_output)]
            )

    contract = IOManagerContract()
    contract.manager = Manager
    contract.is_shared = False
    return contract


@pytest.mark.parametrize(
    ("methods", "test"),
    [
        ({"load": str}, "test_a_value_comes_back_as_it_was"),
        ({"place": lambda c: c.step}, "test_outputs_steps_and_mapping_keys_do_not_mix"),
        ({"place": lambda c: (c.step, c.name)}, "test_a_run_never_reads_the_value_of_another_run"),
    ],
)
def test_the_contract_finds_a_manager_that_breaks_it(methods, test):
    with pytest.raises(AssertionError):
        getattr(broken(**methods), test)()


def test_the_contract_is_kept_by_a_manager_that_does_nothing_wrong():
    contract = broken()
    for name in [name for name in dir(contract) if name.startswith("test_")]:
        getattr(contract, name)()
