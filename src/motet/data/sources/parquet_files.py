"""Parquet files."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from motet.problems import InputError


def read_parquet(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Return the table of a Parquet file, which has types of its own: ``strings`` is not needed.

    Raises:
        InputError: If it is not a Parquet file, or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        with path.open("rb") as raw:
            if raw.read(4) != b"PAR1":
                raise InputError(
                    f"{path} is not a Parquet file, despite its name; if it is text, rename "
                    "it to .csv"
                ) from None
        raise InputError(f"{path} is a damaged Parquet file: {error}; write it again") from None
