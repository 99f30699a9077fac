"""Rows in files, or in a bundled data set; several files are read into one table."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.parquet as pq

from motet.data.empty import without_empty
from motet.data.plain import plain
from motet.data.row_folders import with_folder
from motet.data.row_names import row_name
from motet.data.selection import listed
from motet.data.sources.arrow_files import arrow_rows
from motet.data.sources.base import Source
from motet.data.sources.csv_files import csv_lines
from motet.data.sources.file_streams import FileStream
from motet.data.sources.formats import read_file
from motet.data.sources.json_lines import numbered_lines
from motet.data.sources.places import Places, files_of
from motet.data.sources.saved_datasets import SPLIT, DataFile, with_names
from motet.data.sources.streams import RowStream
from motet.data.sources.uniting import texts_in_some, unite
from motet.options import Sequence
from motet.problems import InputError


@final
class Files(Source):
    """CSV, Parquet, JSON lines or Arrow files, by their suffix.

    Args:
        base: Folder of relative paths; the working folder if left out.
        source: Path of a .csv, .parquet, .pq, .jsonl, .ndjson, .arrow or .feather file, or of a
            folder that ``save_to_disk`` of Hugging Face `datasets` wrote; a pattern such as
            data/*.parquet, or a list of paths, for one table in several files, in the order of
            their names or of the list; or a bundled data set such as motet://adult.
    """

    def __init__(self, base: Path | None = None, *, source: str | Sequence[str] | Places) -> None:
        self._base, self._places = base, source

    def read(self, strings: Collection[str] = ()) -> pa.Table:
        files = self._files_once()
        tables = {file.name: _read(file, strings) for file in files}
        texts = texts_in_some(tables.values())
        if texts:  # a column with digits in one file and texts in another is text
            strings = {*strings, *texts}
            tables = {file.name: _read(file, strings) for file in files}
        table = unite(tables)
        schema = with_folder(table.schema, [file.path.parent for file in files])
        return table.replace_schema_metadata(schema.metadata)

    def stream(self, strings: Collection[str] = ()) -> RowStream:
        return FileStream(self._files_once(), strings)

    def signature(self) -> str | None:
        found = ((file, file.path.stat()) for file in self._files_once())
        parts = ((str(f.path.resolve()), f.split, s.st_size, s.st_mtime_ns) for f, s in found)
        return "\n".join(map(str, parts))

    @property
    def title(self) -> str:
        places = self._places
        return str(places) if isinstance(places, (str, Path)) else listed(places)

    @property
    def split_column(self) -> str | None:
        return SPLIT if any(file.split is not None for file in self._files()) else None

    def row_name(self, row: int) -> str:
        """Name a row as "row 6 (line 8 of rows.csv)", by reading a text file up to there."""
        return f"{row_name(row)}{self._line(row)}"

    def _line(self, row: int) -> str:
        for file in self._files():
            count = _COUNTS.get(file.path.suffix.lower())
            if count is not None:
                row -= count(file.path)
                if row < 0:
                    return ""
                continue
            place = -1
            for place, line in _row_lines(file.path):
                if place == row:
                    return f" (line {line:,} of {file.name})"
            row -= place + 1
        return ""

    def _files_once(self) -> list[DataFile]:
        files, seen = self._files(), set[Path]()
        for file in files:
            if file.path.resolve() in seen:
                raise InputError(
                    f"the source has {file.name} twice; remove one, or its rows count double"
                )
            seen.add(file.path.resolve())
        return files

    def _files(self) -> list[DataFile]:
        return files_of(self._places, self._base)


def _parquet_rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


_COUNTS: dict[str, Callable[[Path], int]] = {
    ".parquet": _parquet_rows,
    ".pq": _parquet_rows,
    ".arrow": arrow_rows,
    ".feather": arrow_rows,
}
"""Numbers of rows of files that have no lines."""


def _row_lines(path: Path) -> Iterator[tuple[int, int]]:
    """Yield each row of a text file with its line."""
    if path.suffix.lower() == ".csv":
        lines = csv_lines(path)
        next(lines, None)  # column names
        yield from enumerate(lines)
    else:
        yield from enumerate(line for line, _ in numbered_lines(path))


def _read(file: DataFile, strings: Collection[str]) -> pa.Table:
    table = plain(read_file(file.path, strings), file.name)
    table = without_empty(table, strings, is_csv=file.path.suffix.lower() == ".csv")
    return with_names(table, file)
