"""Reduces column types: columns of files and frames become plain Arrow once, for all later code.

After `plain`, texts are ``string``, lists are ``list`` or ``fixed_size_list``, decimals and
integers beyond ``int64`` are ``double``, nothing is dictionary-encoded, and "missing" is null:
NaN in a column of numbers is null too. Infinite numbers stay, and are rejected where the column is
read. Texts are UTF-8, which Parquet promises and does not check. Columns that change are copied.
"""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.problems import InputError


def plain(table: pa.Table, what: str, first: int = 0) -> pa.Table:
    """Convert a table to the few types that the rest of `motet.data` knows.

    Args:
        table: Any table.
        what: What the table was read from, to begin messages with.
        first: Number of its first row there.

    Returns:
        Table with the same rows and columns, without metadata.

    Raises:
        InputError: If there are no rows, column names are missing or not distinct, or a text is
            not UTF-8.
    """
    check_names(table.column_names, what)
    require_rows(table.schema, table.num_rows, what)
    columns = [_plain_column(column) for column in table.columns]
    for name, column in zip(table.column_names, columns, strict=True):
        _refuse_other_encodings(column, f"{what}: column {name!r}", first)
    return pa.table(columns, names=table.column_names)


def require_rows(schema: pa.Schema, count: int, what: str) -> None:
    """Check that there is a row, and a column.

    Raises:
        InputError: If not; the message begins with ``what``.
    """
    if not (count and len(schema)):
        names = ", ".join(schema.names) or "none"
        raise InputError(f"{what} has no rows (columns: {names}); expected one row per example")


def check_names(names: list[Any], what: str) -> None:
    """Check that all columns have names, and different ones.

    Raises:
        InputError: If not; the message names the columns.
    """
    texts = [str(name) for name in names]
    empty = [str(place) for place, name in enumerate(texts, 1) if not name.strip()]
    if empty:
        raise InputError(
            f"{what}: column {', '.join(empty)} of {len(texts)} has no name; name it, or remove it "
            "(pandas writes its index as a column without a name: use to_csv(index=False))"
        )
    twice = [name for name, count in Counter(texts).items() if count > 1]
    if twice:
        raise InputError(
            f"{what} has more than one column named {', '.join(map(repr, twice))}; rename or "
            "remove all but one"
        )


def _refuse_other_encodings(column: pa.ChunkedArray, what: str, first: int) -> None:
    inner = column.type.value_type if hasattr(column.type, "value_type") else column.type
    if not pa.types.is_string(inner):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        row = next(row for row, value in enumerate(column, first) if not _is_readable(value))
        raise InputError(
            f"{what} has a text in row {row:,} that is not UTF-8; read it in its own encoding, "
            "e.g. bytes.decode('latin-1'), and save it again"
        ) from None


def _is_readable(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    wanted = plain_type(column.type)
    if pa.types.is_uint64(wanted):
        wanted = pa.int64() if (pc.max(column).as_py() or 0) < 1 << 63 else pa.float64()
    if wanted != column.type:
        column = _converted(column, wanted)
    if pa.types.is_floating(wanted) and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, wanted), column)
    return column


def plain_type(found: pa.DataType) -> pa.DataType:
    """Return the type that columns of a type become; uint64 if that depends on their values."""
    kinds = pa.types
    if isinstance(found, pa.BaseExtensionType):
        return plain_type(found.storage_type)
    if kinds.is_dictionary(found) or kinds.is_run_end_encoded(found):
        return plain_type(found.value_type)
    if kinds.is_large_string(found) or kinds.is_string_view(found):
        return pa.string()
    if kinds.is_large_binary(found) or kinds.is_binary_view(found):
        return pa.binary()
    if kinds.is_decimal(found):
        return pa.float64()
    if kinds.is_float16(found):
        return pa.float32()
    if kinds.is_fixed_size_list(found):
        return pa.list_(plain_type(found.value_type), found.list_size)
    if kinds.is_list(found) or kinds.is_large_list(found) or _is_list_view(found):
        return pa.list_(plain_type(found.value_type))
    return found


def _converted(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if _is_list_view(column.type):  # Arrow's own cast loses values; rare, so slow is good enough
        return pa.chunked_array([pa.array(column.to_pylist(), wanted)])
    if pa.types.is_dictionary(column.type):  # polars keeps its texts in a type Arrow cannot decode
        return pa.chunked_array([_decoded(chunk, wanted) for chunk in column.chunks], wanted)
    if isinstance(column.type, pa.BaseExtensionType):
        storage = [chunk.storage for chunk in column.chunks]
        column = pa.chunked_array(storage, column.type.storage_type)
    return column.cast(wanted, safe=False)


def _decoded(chunk: pa.DictionaryArray, wanted: pa.DataType) -> pa.Array:
    return chunk.dictionary.cast(wanted, safe=False).take(chunk.indices)


def _is_list_view(found: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(found) or pa.types.is_large_list_view(found))
