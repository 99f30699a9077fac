"""Readers of data files, one per suffix.

To add a format, write a function from a path to a `pyarrow.Table` and name it in ``READERS``, and
one to `FileRows`, which has the same rows in parts, in ``STREAMS``.
"""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from motet.data.sources.arrow_files import ArrowRows, read_arrow
from motet.data.sources.csv_files import CsvRows, read_csv
from motet.data.sources.json_lines import JsonLinesRows, read_json_lines
from motet.data.sources.parquet_files import ParquetRows, read_parquet
from motet.data.sources.streams import FileRows
from motet.problems import InputError

R = TypeVar("R")


def read_file(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Read a data file by the reader of its suffix.

    Args:
        path: A file.
        strings: Columns to keep as text, if the format has no types of its own.

    Returns:
        The table, with the types of the file.

    Raises:
        InputError: If it does not exist, or its content does not match its suffix.
    """
    return _opened(READERS, path, strings)


def open_file(path: Path, strings: Collection[str] = ()) -> FileRows:
    """Open a data file to read its rows in parts.

    Args:
        path: A file.
        strings: As for `read_file`.

    Returns:
        The rows, with the types that `read_file` gives them.

    Raises:
        InputError: As `read_file` does.
    """
    return _opened(STREAMS, path, strings)


def _opened(
    readers: Mapping[str, Callable[[Path, Collection[str]], R]],
    path: Path,
    strings: Collection[str],
) -> R:
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a file; {_data_in(path)}")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(readers)}; read it "
            "with pandas or polars and pass the frame instead"
        )
    if not path.exists():
        raise InputError(f"there is no file {path}{near_files(path)}")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; expected column names and rows")
        return reader(path, strings)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _data_in(folder: Path) -> str:
    """Return the end of a message about a folder: its data files, and how to give them."""
    names = sorted(each.name for each in folder.iterdir() if each.suffix.lower() in READERS)
    if len(names) < 2:
        return f"give {folder / names[0]}" if names else "it holds no data files"
    suffixes = {Path(name).suffix for name in names}
    every = f"; for all of them give {folder / f'*{suffixes.pop()}'}" if len(suffixes) == 1 else ""
    return f"it holds {', '.join(names[:5])}{every}"


def near_files(path: Path) -> str:
    """Return the end of a message about a file that does not exist: which files do."""
    folder = path.parent
    if not folder.is_dir():
        return f", nor the folder {folder}"
    names = [each.name for each in folder.iterdir()]
    near = get_close_matches(path.name, names, n=3)
    if near:
        return f"; did you mean {' or '.join(str(folder / name) for name in near)}?"
    data = sorted(name for name in names if Path(name).suffix.lower() in READERS)
    return f"; data files in {folder}: {', '.join(data[:5]) or 'none'}"


READERS: dict[str, Callable[[Path, Collection[str]], pa.Table]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}

STREAMS: dict[str, Callable[[Path, Collection[str]], FileRows]] = {
    ".csv": CsvRows,
    ".parquet": ParquetRows,
    ".pq": ParquetRows,
    ".jsonl": JsonLinesRows,
    ".ndjson": JsonLinesRows,
    ".arrow": ArrowRows,
    ".feather": ArrowRows,
}
