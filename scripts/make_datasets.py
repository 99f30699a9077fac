"""Make the bundled data sets of `motet.datasets` from their sources.

Usage: python scripts/make_datasets.py [adult.parquet]

The source is Adult of the UCI Machine Learning Repository as one Parquet file with a ``split``
column; without an argument it is looked for in ``$SHARED_DATA`` or in ``shared/data`` in or beside
the checkout. The same source and the same pyarrow give the same bytes.
"""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
KEPT = (
    "age",
    "workclass",
    "education",
    "education_num",
    "occupation",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "native_country",
    "hours_per_week",
    "income",
)


def adult(source: Path, target: Path) -> None:
    """Keep what serves as input or task, and make ``never_married`` of the marital status."""
    table = pq.read_table(source)
    never = pc.equal(table["marital_status"], "Never-married")
    columns = {name: table[name].combine_chunks() for name in KEPT}
    columns["never_married"] = pc.if_else(never, "yes", "no").combine_chunks()
    columns["split"] = table["split"].combine_chunks()
    pq.write_table(pa.table(columns), target, compression="zstd", compression_level=19)


def find(name: str) -> Path:
    """Return where a source lies."""
    folders = [folder / "shared" / "data" for folder in (ROOT, *ROOT.parents)]
    if "SHARED_DATA" in os.environ:
        folders.insert(0, Path(os.environ["SHARED_DATA"]))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    sys.exit(f"{name} is not in {', '.join(map(str, folders))}; give its path")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else find("adult.parquet")
    adult(given, ROOT / "src" / "motet" / "datasets" / "adult.parquet")
