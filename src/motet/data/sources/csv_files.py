"""CSV files: commas, UTF-8, column names in the first row; Arrow infers types.

Empty cells without quotes, see `motet.data.empty`, are null here; `motet.data.empty` replaces those
in quotes, and those of white space.
"""

import csv
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from motet.data.empty import WORDS
from motet.data.sources.signatures import refuse_binary
from motet.problems import InputError, shown

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
    try:
        table = _parse(path, strings)
        names = table.column_names  # decoded only now
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path) or f"{path} is not UTF-8 text") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        complaint = _not_utf8(path) or _uneven_row(path, strings)
        raise InputError(
            complaint or f"{path} cannot be read as CSV: {error}; expected column names and rows"
        ) from None
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise InputError(_not_utf8(path) or f"{path} is not UTF-8 text")
    _refuse_other_format(path, names)
    return table


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
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_bad_row),
        convert_options=pa.csv.ConvertOptions(
            null_values=WORDS,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # "NA" in quotes is a text, NA without is missing
            column_types=dict.fromkeys(strings, pa.string()),
        ),
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
