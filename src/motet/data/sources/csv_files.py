"""CSV files: commas, UTF-8, column names in the first row; Arrow infers types.

Empty cells without quotes, see `motet.data.empty`, are null here; `motet.data.empty` replaces those
in quotes, and those of white space.
"""

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.csv

from motet.data.empty import WORDS
from motet.data.sources.signatures import refuse_binary
from motet.data.sources.streams import FileRows
from motet.problems import InputError, shown

_BLOCK = 1 << 22
"""Bytes that are read at a time."""
_KINDS = (
    pa.null(),
    pa.int64(),
    pa.bool_(),
    pa.date32(),
    pa.time32("s"),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("s", "UTC"),
    pa.timestamp("ns", "UTC"),
    pa.float64(),
    pa.string(),
    pa.binary(),
)
"""The types that Arrow tries in turn: a column has the first that all of its cells have."""

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Read a CSV file.

    Args:
        path: The file.
        strings: Columns to keep as text, whatever they look like.

    Returns:
        The table, perhaps without rows.

    Raises:
        InputError: If it is not CSV; the message names the row, and what to do.
    """
    refuse_binary(path, "CSV")
    with _readable(path, strings):
        table = _parse(path, strings)
        _check(path, table.schema)
    return table


@final
class CsvRows(FileRows):
    """The rows of a CSV file, block by block; see `read_csv`.

    The types are those of the whole file, as all of it is parsed once for them; again, and slowly,
    only if some column does not have the type that its first block has.
    """

    def __init__(self, path: Path, strings: Collection[str] = ()) -> None:
        self._path, self._strings = path, strings
        refuse_binary(path, "CSV")
        with _readable(path, strings):
            self.schema, self.count = _typed(path, dict.fromkeys(strings, pa.string()))
            _check(path, self.schema)

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        types = dict(zip(self.schema.names, self.schema.types, strict=True))
        with _readable(self._path, self._strings):
            for batch in _batches(self._path, types, columns):
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])


@contextmanager
def _readable(path: Path, strings: Collection[str]) -> Iterator[None]:
    """Explain what Arrow raises about a file."""
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path) or f"{path} is not UTF-8 text") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        complaint = _not_utf8(path) or _uneven_row(path, strings)
        raise InputError(
            complaint or f"{path} cannot be read as CSV: {error}; expected column names and rows"
        ) from None


def _check(path: Path, schema: pa.Schema) -> None:
    names = schema.names  # decoded only now
    if any(pa.types.is_binary(kind) for kind in schema.types):
        raise InputError(_not_utf8(path) or f"{path} is not UTF-8 text")
    _refuse_other_format(path, names)


def _typed(path: Path, types: Mapping[str, pa.DataType]) -> tuple[pa.Schema, int]:
    """Find the types of columns, some of which are given, and the number of rows."""
    found = dict(types)
    while True:
        try:
            reader = _batches(path, found)
            return reader.schema, sum(batch.num_rows for batch in reader)
        except pa.ArrowInvalid as error:
            place = re.match(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion", str(error))
            if place is None:
                raise
            name = _batches(path).schema.names[int(place[1])]
            if len(found) == len(types):
                found |= _least(path, types)
            elif found[name] != _KINDS[-1]:
                found[name] = _KINDS[_KINDS.index(found[name]) + 1]
            else:
                raise


def _least(path: Path, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Return the first type, in the order of ``_KINDS``, that may be that of all blocks."""
    names = _batches(path).schema.names
    places = dict.fromkeys((name for name in names if name not in types), 0)
    for batch in _batches(path, dict.fromkeys(names, pa.string())):
        text = BytesIO()
        pa.csv.write_csv(batch.select(list(places)), text)
        text.seek(0)
        own = pa.csv.read_csv(text, parse_options=_parsing(), convert_options=_conversion({}))
        for field in own.schema:
            places[field.name] = max(places[field.name], _KINDS.index(field.type))
    return {name: _KINDS[place] for name, place in places.items()}


def _batches(
    path: Path, types: Mapping[str, pa.DataType] | None = None, columns: Sequence[str] = ()
) -> pa.csv.CSVStreamingReader:
    return pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(block_size=_BLOCK),
        parse_options=_parsing(),
        convert_options=_conversion(types or {}, columns),
    )


def _parsing(on_bad_row: Callable[[Any], str] | None = None) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_bad_row)


def _conversion(
    types: Mapping[str, pa.DataType], columns: Sequence[str] = ()
) -> pa.csv.ConvertOptions:
    return pa.csv.ConvertOptions(
        null_values=WORDS,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,  # "NA" in quotes is a text, NA without is missing
        column_types=dict(types),
        include_columns=list(columns),
    )


def csv_lines(path: Path) -> Iterator[int]:
    """Yield the line on which each row begins, that of the column names first."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader, line = csv.reader(file), 1
        with suppress(csv.Error):  # a cell of more than 100,000 characters
            for cells in reader:
                if cells:
                    yield line
                line = reader.line_num + 1


def _parse(
    path: Path, strings: Collection[str], on_bad_row: Callable[[Any], str] | None = None
) -> pa.Table:
    return pa.csv.read_csv(
        path,
        # one thread is slower, but reports the number of a row
        read_options=pa.csv.ReadOptions(use_threads=on_bad_row is None),
        parse_options=_parsing(on_bad_row),
        convert_options=_conversion(dict.fromkeys(strings, pa.string())),
    )


def _uneven_row(path: Path, strings: Collection[str]) -> str | None:
    """Find the first row with too few or too many values; Arrow would print invalid UTF-8."""
    bad: list[pa.csv.InvalidRow] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    with suppress(pa.ArrowInvalid):
        _parse(path, strings, keep)
    if not bad:
        return None
    row = bad[0]
    line = next(islice(csv_lines(path), row.number - 1, None), None)
    where = "" if line is None else f" (line {line:,} of the file)"
    return (
        f"{path}: row {row.number - 2:,}{where} has {row.actual_columns} values, "
        f"expected {row.expected_columns}: {shown(row.text)}; put quotes around values that hold "
        "commas"
    )


def _refuse_other_format(path: Path, names: list[str]) -> None:
    if names[0].startswith("{"):
        raise InputError(
            f"{path} begins as JSON does, not CSV; if it is JSON lines, rename it to .jsonl"
        )
    for separator, word in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise InputError(
                f"{path} has one column, {shown(names[0])}, so its values seem to be separated by "
                f"{word}, expected commas; save it with commas, or pass "
                f"pandas.read_csv(..., sep={separator!r})"
            )


def _not_utf8(path: Path) -> str | None:
    """Find the first line that is not UTF-8, if there is one."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return (
                    f"{path} is not UTF-8 text (first seen in line {number}); save it as UTF-8, "
                    f"for example with `iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv`"
                )
    return None
