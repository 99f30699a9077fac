"""Make the bundled data sets of `motet.datasets` from their sources.

Usage: python scripts/make_datasets.py FOLDER

The folder has adult.parquet, Adult of the UCI Machine Learning Repository, and
clothing_reviews.parquet, Women's E-Commerce Clothing Reviews, each with a ``split`` column
(docs/benchmarks.md, "Data sets"). The same sources and the same pyarrow give the same bytes.
"""

import sys
from pathlib import Path
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TARGET = Path(__file__).resolve().parents[1] / "src" / "motet" / "datasets"
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
REVIEW = ("age", "title", "text", "rating", "recommended", "department", "split")


def adult(table: pa.Table) -> pa.Table:
    """Keep what serves as input or task, and make ``never_married`` of the marital status."""
    never = pc.equal(table["marital_status"], "Never-married")
    columns = {name: table[name].combine_chunks() for name in KEPT}
    columns["never_married"] = pc.if_else(never, "yes", "no").combine_chunks()
    columns["split"] = table["split"].combine_chunks()
    return pa.table(columns)


def clothing(table: pa.Table) -> pa.Table:
    """Keep a quarter of the reviews that have a text and a department, split as they were."""
    table = table.filter(pc.and_(table["text"].is_valid(), table["department"].is_valid()))
    chosen = [crc32(text.encode()) % 4 == 0 for text in table["text"].to_pylist()]
    table = table.filter(pa.array(chosen))
    columns = {name: table[name].combine_chunks() for name in REVIEW}
    columns["recommended"] = pc.if_else(pc.equal(table["recommended"], 1), "yes", "no")
    return pa.table(columns)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/make_datasets.py FOLDER")
    for name, make in {"adult.parquet": adult, "clothing_reviews.parquet": clothing}.items():
        made = make(pq.read_table(Path(sys.argv[1]) / name))
        target = TARGET / f"{make.__name__}.parquet"
        pq.write_table(made, target, compression="zstd", compression_level=19)
