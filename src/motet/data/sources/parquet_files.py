"""Parquet files."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.parquet as pq

from motet.data.sources.streams import ROWS, FileRows
from motet.problems import InputError


def read_parquet(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Return the table of a Parquet file, which has types of its own: ``strings`` is not needed.

    Raises:
        InputError: If it is not a Parquet file, or damaged.
    """
    with _opened(path) as file:
        try:
            return file.read()
        except pa.ArrowNotImplementedError:  # of lists of categories, Arrow reads one chunk
            groups = range(file.num_row_groups)
            return pa.concat_tables([file.read_row_group(group) for group in groups])


@final
class ParquetRows(FileRows):
    """The rows of a Parquet file, read page by page; see `read_parquet`."""

    def __init__(self, path: Path, strings: Collection[str] = ()) -> None:
        self._path = path
        with _opened(path) as file:
            self.schema, self.count = file.schema_arrow, file.metadata.num_rows

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        with _opened(self._path) as file:
            for group in range(file.num_row_groups):  # those read before are not kept
                for batch in file.iter_batches(ROWS, row_groups=[group], columns=list(columns)):
                    yield pa.Table.from_batches([batch])


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        with path.open("rb") as raw:
            if raw.read(4) != b"PAR1":
                raise InputError(
                    f"{path} is not a Parquet file, despite its name; if it is text, rename "
                    "it to .csv"
                ) from None
        raise InputError(f"{path} is a damaged Parquet file: {error}; write it again") from None
