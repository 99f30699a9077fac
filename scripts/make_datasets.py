"""Make the bundled data sets of `motet.datasets` from their sources.

Usage: python scripts/make_datasets.py [folder]

The sources are adult.parquet, Adult of the UCI Machine Learning Repository, and
clothing_reviews.parquet, Women's E-Commerce Clothing Reviews, each with a ``split`` column. Without
an argument they are looked for in ``$SHARED_DATA`` or in ``shared/data`` in or beside the checkout.
The same sources and the same pyarrow give the same bytes.
"""

import os
import sys
from pathlib import Path
from zlib import crc32

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
    _write(pa.table(columns), target)


def clothing(source: Path, target: Path) -> None:
    """Keep a quarter of the reviews that have a text and a department, split as they were."""
    table = pq.read_table(source)
    table = table.filter(pc.and_(table["text"].is_valid(), table["department"].is_valid()))
    chosen = [crc32(text.encode()) % 4 == 0 for text in table["text"].to_pylist()]
    table = table.filter(pa.array(chosen))
    columns = {name: table[name].combine_chunks() for name in REVIEW}
    columns["recommended"] = pc.if_else(pc.equal(table["recommended"], 1), "yes", "no")
    _write(pa.table(columns), target)


REVIEW = ("age", "title", "text", "rating", "recommended", "department", "split")


def _write(table: pa.Table, target: Path) -> None:
    pq.write_table(table, target, compression="zstd", compression_level=19)


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
    folder = ROOT / "src" / "motet" / "datasets"
    sources = {"adult.parquet": adult, "clothing_reviews.parquet": clothing}
    for name, make in sources.items():
        source = Path(sys.argv[1]) / name if len(sys.argv) > 1 else find(name)
        make(source, folder / f"{make.__name__}.parquet")
