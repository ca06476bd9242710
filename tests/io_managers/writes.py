"""A small old table and a large new one, to be written where the old one is. Imported by processes that are to die."""

from pathlib import Path

import pyarrow as pa

from orchestrator import OutputContext
from orchestrator.io_managers import duckdb as duckdb_module
from orchestrator.io_managers import filesystem as filesystem_module
from orchestrator.io_managers import parquet as parquet_module
from orchestrator.io_managers.duckdb import DuckDBIOManager
from orchestrator.io_managers.filesystem import FilesystemIOManager
from orchestrator.io_managers.parquet import ParquetIOManager

OLD = pa.table({"day": ["old"]})
NEW = pa.table({"day": ["new"] * 100_000, "n": range(100_000)})
CONTEXT = OutputContext(step="daily", metadata={"path": "daily.parquet", "table": "marts.daily"})
MANAGERS = {
    "files": FilesystemIOManager,
    "parquet": ParquetIOManager,
    "duckdb": lambda directory: DuckDBIOManager(Path(directory) / "tables.duckdb"),
}
# For each manager: what is called when the new value is written and has not yet taken the place of the old one.
LAST_CALL = {
    "files": (filesystem_module, "_write_label"),
    "parquet": (parquet_module, "check_kept"),
    "duckdb": (duckdb_module, "write_label"),
}
