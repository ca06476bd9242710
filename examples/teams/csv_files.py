"""An IO manager of one's own: tables as CSV files that anybody can open, and whoever writes one has published it."""

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from orchestrator import AssetMaterialization, InputContext, IOManager, Metadata, OutputContext, io_manager

FLIGHTS = Path(__file__).parent.parent / "flights" / "data" / "flights.csv.gz"
# Set TEAMS_OUT to the full path of another directory to have the tables there.
OUT = Path(os.environ.get("TEAMS_OUT", Path(__file__).parent / "out"))


class CsvFiles(IOManager):
    """One file an output and run. Steps give and take frames, and never see a path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, context: OutputContext) -> Path:
        return self.directory / f"{context.step}-{context.run_id}.csv"

    def handle_output(self, context: OutputContext, obj: pl.DataFrame) -> Iterator[AssetMaterialization]:
        path = self.path(context)
        self.directory.mkdir(parents=True, exist_ok=True)
        obj.write_csv(path)
        # Only what is named an asset is one: the other tables are a pipeline's own business.
        if asset := context.metadata.get("asset"):
            first = Metadata.table(obj.head(5).to_dicts())
            yield AssetMaterialization(asset, metadata={"path": str(path), "rows": obj.height, "first rows": first})

    def load_input(self, context: InputContext) -> pl.DataFrame:
        return pl.read_csv(self.path(context.upstream_output))


@io_manager
def csv_files() -> CsvFiles:
    return CsvFiles(OUT)
