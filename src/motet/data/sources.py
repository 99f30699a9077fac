"""Where rows come from: files, bundled data sets, frames and arrays, all read into one table.

The whole table is in memory, about the size of the columns; types are brought down to a few by
`motet.data.plain`.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.files import read_file
from motet.data.plain import check_names, plain
from motet.problems import InputError, shown
from motet.registry import DATASETS

_BUNDLED = "motet://"


def read(source: Any, base: Path | None = None, *, strings: Collection[str] = ()) -> pa.Table:
    """Read rows from wherever they are; what cannot be read as a table raises `InputError`.

    Args:
        source: A path of a .csv or .parquet file; ``motet://NAME``, a bundled data set; a frame of
            pandas or polars, or any other object with the Arrow stream interface; or a mapping from
            column to array, (N,) or (N, D).
        base: Folder that relative paths start from; the working folder if left out.
        strings: Columns of a CSV file to keep as text, whatever they look like: what was a text in
            training must not become a number because today's values happen to be digits.

    Returns:
        Table with at least one row; missing values are null, also where the source has NaN.

    Example:
        >>> read({"age": [30.0, float("nan")], "clip": np.zeros((2, 3))}).schema
        age: double
        clip: fixed_size_list<item: double>[3]
          child 0, item: double
    """
    if isinstance(source, (str, Path)):
        return _read_place(source, base, strings)
    if isinstance(source, pa.Table):
        return plain(source, "the table")
    if isinstance(source, Mapping):
        return plain(_from_arrays(source), "the mapping of columns")
    return plain(_from_frame(source), "the frame")


def _read_place(source: str | Path, base: Path | None, strings: Collection[str]) -> pa.Table:
    if str(source).startswith(_BUNDLED):
        path = DATASETS[str(source).removeprefix(_BUNDLED)]()
    else:
        path = (base or Path()) / Path(source).expanduser()
    return plain(read_file(path, strings), str(source))


def _from_frame(frame: Any) -> pa.Table:
    kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
    try:
        if kind == "pandas.DataFrame":
            check_names(list(frame.columns), "the frame")
            return pa.Table.from_pandas(frame, preserve_index=False)
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
    except (pa.ArrowException, TypeError) as error:
        # Arrow names the column, e.g. one that mixes texts and numbers
        reason = "; ".join(str(part) for part in error.args)
        raise InputError(
            f"the {kind} cannot be read as a table ({reason}); expected a frame whose columns "
            "hold one type each, e.g. frame['column'].astype(str)"
        ) from None
    collect = "; call .collect() first" if hasattr(frame, "collect") else ""
    raise InputError(
        f"the data are a {kind}, expected a path, a frame of pandas or polars, a pyarrow table, or "
        f"a mapping from column to array{collect}"
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
    try:
        array = values if isinstance(values, (list, tuple)) else np.asarray(values)
        if isinstance(array, np.ndarray) and array.ndim == 2 and array.shape[1]:
            flat = pa.array(np.ascontiguousarray(array).ravel(), from_pandas=True)
            return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
        if not isinstance(array, np.ndarray) or array.ndim == 1:
            return pa.array(array, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"column {name!r} cannot be read ({error}); expected an array with one number or text "
            "per row, (N,), or one row of numbers per row, (N, D)"
        ) from None
    raise InputError(
        f"column {name!r} is {shown(values) if array.ndim == 0 else f'of shape {array.shape}'}, "
        "expected an array (N,) or (N, D); reshape it to two axes"
    )
