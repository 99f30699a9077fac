"""Arrow IPC files, also named Feather: the file format, and the stream format of `datasets`.

Arrow itself does not check what such a file claims, so that a damaged one could crash the process;
here every column is validated, in one pass through it.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.ipc

from motet.data.sources.streams import FileRows
from motet.problems import InputError

_MAGIC = b"ARROW1"


def read_arrow(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Return the table of an Arrow file, which has types of its own: ``strings`` is not needed.

    Raises:
        InputError: If it is not an Arrow file, or damaged.
    """
    with readable_arrow(path), _opened(path) as reader:
        table = reader.read_all()
        table.validate(full=True)
        return table


@final
class ArrowRows(FileRows):
    """The rows of an Arrow file, batch by batch; see `read_arrow`.

    A file of the stream format, which does not store the number of rows, is read once to count
    them.
    """

    def __init__(self, path: Path, strings: Collection[str] = ()) -> None:
        self._path = path
        self.count = arrow_rows(path)
        with readable_arrow(path), _opened(path) as reader:
            self.schema = reader.schema

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        with readable_arrow(self._path), _opened(self._path) as reader:
            for batch in _batches(reader):
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
                if len(table):
                    yield table.select(list(columns))


def arrow_rows(path: Path) -> int:
    """Return how many rows an Arrow file has; see `ArrowRows`."""
    with readable_arrow(path), _opened(path) as reader:
        return sum(batch.num_rows for batch in _batches(reader))


def _batches(
    reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of either format, one in memory at a time."""
    if isinstance(reader, pa.RecordBatchFileReader):
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from reader


@contextmanager
def readable_arrow(path: Path) -> Iterator[None]:
    """Explain what Arrow raises about a file."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError, EOFError) as error:
        with path.open("rb") as raw:
            start = raw.read(8)
        if start.startswith(b"FEA1"):
            raise InputError(
                f"{path} is a Feather file of version 1; write it again, with version 2"
            ) from None
        if not start.startswith((_MAGIC, b"\xff\xff\xff\xff")):
            raise InputError(
                f"{path} is not an Arrow file, despite its name; if it is text, rename it to .csv"
            ) from None
        raise InputError(f"{path} is a damaged Arrow file: {error}; write it again") from None


@contextmanager
def _opened(path: Path) -> Iterator[pa.RecordBatchFileReader | pa.RecordBatchStreamReader]:
    with pa.OSFile(str(path)) as file:
        is_file = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        with pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file) as reader:
            yield reader
