"""Rows given from Python: frames, Arrow tables, and mappings from column to array."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from numbers import Number
from typing import Any, final

import numpy as np
import pyarrow as pa

from motet.data.empty import is_empty, without_empty
from motet.data.plain import check_names, plain
from motet.data.sources.base import Source
from motet.data.sources.other_libraries import joined_splits, kind_of, known_rows, splits_of
from motet.data.sources.saved_datasets import SPLIT
from motet.data.sources.streams import RowStream, TableStream
from motet.problems import InputError, shown

_UNREADABLE = (pa.ArrowException, TypeError, ValueError, RuntimeError, OverflowError)
"""What Arrow and NumPy raise for values that are not a column."""


@final
class Frame(Source):
    """Rows in memory.

    Args:
        rows: A frame of pandas or polars, or any other object with the Arrow stream interface; a
            mapping from column to array, (N,) or (N, D), or of images (N, H, W) or (N, H, W, C); or
            what `motet.data.sources.other_libraries` knows.
    """

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def read(self, strings: Collection[str] = ()) -> pa.Table:
        return as_table(self._rows, strings)

    def stream(self, strings: Collection[str] = ()) -> RowStream:
        return TableStream(self.read(strings))

    @property
    def title(self) -> str:
        return "data from Python"

    @property
    def split_column(self) -> str | None:
        return SPLIT if len(splits_of(self._rows) or ()) > 1 else None


def as_table(rows: Any, strings: Collection[str] = ()) -> pa.Table:
    """Make a table of plain types of what holds rows in Python.

    Args:
        rows: What `Frame` takes.
        strings: Columns to keep as text.

    Returns:
        Table with at least one row; empty cells are null, see `motet.data.empty`. What cannot be
        read as a table raises `InputError`.

    Example:
        >>> as_table({"age": [30.0, float("nan")], "clip": np.zeros((2, 3))}).schema
        age: double
        clip: fixed_size_list<item: double>[3]
          child 0, item: double
    """
    if (splits := splits_of(rows)) is not None:
        table = plain(joined_splits(splits, as_table), "the splits")
    elif isinstance(rows, pa.Table):
        table = plain(rows, "the table")
    elif isinstance(rows, Mapping):
        table = plain(_from_arrays(rows), "the mapping of columns")
    else:
        table = plain(_from_frame(rows), "the frame")
    return without_empty(table, strings)


def _from_frame(frame: Any) -> pa.Table:
    kind = kind_of(frame)
    try:
        if kind == "pandas.DataFrame":
            check_names(list(frame.columns), "the frame")
            return pa.table({str(name): _from_values(frame[name], name) for name in frame.columns})
        found = known_rows(frame, _from_arrays)
        if found is not None:
            return found
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
    except (pa.ArrowException, TypeError) as error:
        reason = "; ".join(map(str, error.args))
        raise InputError(
            f"the {kind} cannot be read as a table ({reason}); expected a frame whose columns "
            "hold one type each, e.g. frame['column'].astype(str)"
        ) from None
    raise InputError(
        f"the data are a {kind.removeprefix('builtins.')}, expected a path, a frame of pandas or "
        "polars, a pyarrow table, a mapping from column to array, or a data set or list whose rows "
        "are mappings, {'age': 30, 'job': 'cook'}"
    )


def _from_values(values: Any, name: Any) -> pa.Array | pa.ChunkedArray:
    """Read one value per row; empty texts among values of another type are missing."""
    try:
        return pa.array(values, from_pandas=True)
    except _UNREADABLE as found:
        error = found
    known = [None if is_empty(value) else value for value in values]
    with suppress(*_UNREADABLE):
        return pa.array(known, from_pandas=True)
    texts = [row for row, value in enumerate(known) if isinstance(value, str)]
    numbers = sum(isinstance(value, Number) for value in known)
    if texts and numbers:
        raise InputError(
            f"column {name!r} mixes numbers ({numbers:,}) and texts ({len(texts):,}), first "
            f"{shown(known[texts[0]])} in row {texts[0]:,}; expected one type in all rows: correct "
            "them, or turn all into texts, e.g. frame['column'].astype(str)"
        )
    raise InputError(
        f"column {name!r} cannot be read ({error}); expected one number or text per row"
    )


def _from_arrays(columns: Mapping[Any, Any]) -> pa.Table:
    check_names(list(columns), "the mapping of columns")
    arrays = {str(name): _from_array(values, name) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name!r} {length:,}" for name, length in lengths.items())
        raise InputError(f"the columns have different lengths: {found}; expected one per row")
    return pa.table(arrays)


def _from_array(values: Any, name: Any) -> Any:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, (list, tuple)):
        return _from_values(values, name)
    try:
        array = np.asarray(values)
        if 2 <= array.ndim <= 4 and array.size:
            found = pa.array(np.ascontiguousarray(array).ravel(), from_pandas=True)
            for side in array.shape[:0:-1]:
                found = pa.FixedSizeListArray.from_arrays(found, side)
            return found
    except _UNREADABLE as error:
        raise InputError(
            f"column {name!r} cannot be read ({error}); expected an array with one number or text "
            "per row, (N,), one row of numbers per row, (N, D), or an image per row, (N, H, W) or "
            "(N, H, W, C)"
        ) from None
    if array.ndim == 1:
        return _from_values(array, name)
    raise InputError(
        f"column {name!r} is {shown(values) if array.ndim == 0 else f'of shape {array.shape}'}, "
        "expected an array (N,), (N, D), or of images (N, H, W) or (N, H, W, C); reshape it"
    )
