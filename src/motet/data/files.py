"""Readers of data files, one per suffix, whose errors say which row is wrong and what to do.

To add a format, write a function from a path to a `pyarrow.Table` and name it in ``READERS``.
"""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from motet.problems import InputError, shown

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_SIGNATURES = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"ARROW1": "an Arrow file",
}


def read_file(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Read a data file by the reader of its suffix.

    Args:
        path: A file.
        strings: Columns to keep as text where the format leaves types open, whatever they look
            like.

    Returns:
        The table, with the types of the file.

    Raises:
        InputError: If it is not there, or not what its suffix says.
    """
    if path.is_dir():
        names = sorted(each.name for each in path.iterdir() if each.suffix.lower() in READERS)
        inside = f"; it holds {', '.join(names[:5])}" if names else ""
        raise InputError(f"{path} is a folder, expected a file{inside}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(READERS)}; read it "
            "with pandas or polars and pass the frame instead"
        )
    if not path.exists():
        raise InputError(f"there is no file {path}{_near_files(path)}")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; expected column names and rows")
        return reader(path, strings)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _near_files(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f", nor the folder {folder}"
    names = [each.name for each in folder.iterdir()]
    near = get_close_matches(path.name, names, n=3)
    if near:
        return f"; did you mean {' or '.join(str(folder / name) for name in near)}?"
    data = sorted(name for name in names if Path(name).suffix.lower() in READERS)
    return f"; data files in {folder}: {', '.join(data[:5]) or 'none'}"


# Parquet -------------------------------------------------------------------------------------


def _read_parquet(path: Path, strings: Collection[str]) -> pa.Table:
    try:
        return pa.parquet.ParquetFile(path).read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        with path.open("rb") as file:
            if file.read(4) != b"PAR1":
                raise InputError(
                    f"{path} is not a Parquet file, whatever its name says; if it is text, rename "
                    "it to .csv"
                ) from None
        raise InputError(f"{path} is a damaged Parquet file: {error}; write it again") from None


# CSV -----------------------------------------------------------------------------------------


def _read_csv(path: Path, strings: Collection[str]) -> pa.Table:
    _refuse_binary(path)
    bad: list[pa.csv.InvalidRow] = []
    try:
        table = _parse_csv(path, strings, bad, threads=True)
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path)) from None
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if bad:
            raise InputError(_uneven_row(path, strings)) from None
        if "invalid UTF8" in str(error):
            raise InputError(_not_utf8(path)) from None
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise InputError(_not_utf8(path))
    _refuse_other_separator(path, table.column_names)
    return pa.table(
        [_without_empty_texts(column, name in strings) for name, column in _named(table)],
        names=table.column_names,
    )


def _parse_csv(
    path: Path, strings: Collection[str], bad: list[pa.csv.InvalidRow], *, threads: bool
) -> pa.Table:
    def on_bad_row(row: pa.csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    return pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(use_threads=threads),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_bad_row),
        convert_options=pa.csv.ConvertOptions(
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # "NA" in quotes is a text, NA without is missing
            column_types=dict.fromkeys(strings, pa.string()),
        ),
    )


def _uneven_row(path: Path, strings: Collection[str]) -> str:
    """Read again in one thread, which is slower but knows the row's number."""
    bad: list[pa.csv.InvalidRow] = []
    try:
        _parse_csv(path, strings, bad, threads=False)
    except pa.ArrowInvalid:
        pass
    row = bad[0]
    return (
        f"{path}: row {row.number} (the column names are row 1) has {row.actual_columns} values, "
        f"expected {row.expected_columns}: {shown(row.text)}; put quotes around values that hold "
        "commas"
    )


def _refuse_binary(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(1 << 16)
    found = next((what for sign, what in _SIGNATURES.items() if start.startswith(sign)), None)
    if found is None and b"\0" in start:
        found = "binary"
    if found:
        raise InputError(
            f"{path} is {found}, not CSV; rename it, or save it as CSV in UTF-8 or as Parquet"
        )
    if not start.strip():
        raise InputError(f"{path} is empty; expected column names and rows")


def _refuse_other_separator(path: Path, names: list[str]) -> None:
    for separator, word in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise InputError(
                f"{path} has one column, {shown(names[0])}, so its values seem to be separated by "
                f"{word}, expected commas; save it with commas, or pass "
                f"pandas.read_csv(..., sep={separator!r})"
            )


def _not_utf8(path: Path) -> str:
    number = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):  # noqa: B007  # the last line if none is found
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                break
    return (
        f"{path} is not UTF-8 text (first seen in line {number}); save it as UTF-8, for example "
        f"with `iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv`"
    )


def _without_empty_texts(column: pa.ChunkedArray, is_string: bool) -> pa.ChunkedArray:
    """Make quoted empty values null; numbers they kept from being recognised become numbers."""
    if not pa.types.is_string(column.type):
        return column
    empty = pc.equal(column, "")
    if not pc.any(empty).as_py():
        return column
    column = pc.if_else(empty, pa.scalar(None, pa.string()), column)
    for wanted in () if is_string else (pa.int64(), pa.float64()):
        try:
            return column.cast(wanted)
        except pa.ArrowInvalid:
            continue
    return column


def _named(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    return list(zip(table.column_names, table.columns, strict=True))


READERS: dict[str, Callable[[Path, Collection[str]], pa.Table]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
