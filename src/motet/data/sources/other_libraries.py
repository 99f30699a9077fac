"""Rows that other libraries hold: data sets of PyTorch and Hugging Face, lazy frames, queries.

None of these libraries is imported here. All rows are read into memory, once.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.plain import plain
from motet.data.sources.saved_datasets import DataFile, with_names
from motet.problems import InputError

ROWS = "mappings from column to value, {'age': 30, 'job': 'cook'}"
"""What rows, one by one, must be."""
_TIMES = ("M", "m")
"""Kinds of NumPy's types for points in time, and for durations."""


def known_rows(rows: Any, columns: Callable[[Mapping[str, Any]], pa.Table]) -> pa.Table | None:
    """Read rows from an object of another library.

    Args:
        rows: The object.
        columns: Makes a table of columns by name.

    Returns:
        The rows; None if the object is something else.

    Raises:
        InputError: If it is known, and something else is to be given in its place.
    """
    kind = kind_of(rows)
    if _is_arrow_dataset(rows):
        return rows.to_table()
    if isinstance(rows, pa.RecordBatchReader):
        return _read_once(rows)
    if kind == "polars.LazyFrame":
        return rows.collect().to_arrow()
    if kind.endswith("duckdb.DuckDBPyConnection"):
        raise InputError(
            "the data are a connection to DuckDB; expected a relation: connection.sql(query)"
        )
    if kind.startswith("datasets.") and hasattr(rows, "features"):
        return _of_hugging_face(rows, columns)
    if kind == "torch.DataLoader":
        raise InputError(
            "the data are a DataLoader, and a run makes batches of training.batch_size itself; "
            "expected its rows: give loader.dataset"
        )
    if _is_torch_dataset(rows):
        return _table_of(_each_row(rows), columns)
    if isinstance(rows, list) and rows and isinstance(rows[0], Mapping):
        return _table_of(rows, columns)
    if isinstance(rows, Iterator):
        raise InputError(
            f"the data are a {kind}, which yields its rows once; expected rows that can be read "
            "again: give list(rows)"
        )
    return None


def splits_of(rows: Any) -> Mapping[str, Any] | None:
    """Return the splits of a ``DatasetDict`` of `datasets`; None of anything else."""
    named = kind_of(rows) in ("datasets.DatasetDict", "datasets.IterableDatasetDict")
    return rows if named else None


def joined_splits(splits: Mapping[str, Any], read: Callable[[Any], pa.Table]) -> pa.Table:
    """Join the splits of a ``DatasetDict`` into one table, with the column ``split`` of several.

    Args:
        splits: By name.
        read: Reads one.

    Returns:
        The rows of one split after the other.

    Raises:
        InputError: If they have other columns.
    """
    tables = []
    for name, rows in splits.items():
        marked = name if len(splits) > 1 else None
        tables.append(with_names(read(rows), DataFile(f"split {name!r}", Path(), split=marked)))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"the splits have different columns: {error}; give one of them") from None


def kind_of(rows: Any) -> str:
    """Name the package and the class of an object."""
    return f"{type(rows).__module__.partition('.')[0].lstrip('_')}.{type(rows).__name__}"


def _read_once(reader: pa.RecordBatchReader) -> pa.Table:
    table = reader.read_all()
    if not len(table):
        raise InputError(
            "found a RecordBatchReader without rows, or whose rows were read before, which is "
            "possible once; give reader.read_all()"
        )
    return table


def _of_hugging_face(rows: Any, columns: Callable[[Mapping[str, Any]], pa.Table]) -> pa.Table:
    """Read a ``Dataset`` or ``IterableDataset``; numbers of named classes become their names."""
    shown = rows.format if kind_of(rows) == "datasets.Dataset" else {"type": "custom"}
    if shown["type"] != "custom":
        table = rows.with_format("arrow", columns=shown["columns"])[:]
    else:  # of a stream, or transformed row by row
        table = _table_of(rows, columns)
    classes = dict(_classes(rows.features or {}))
    file = DataFile("the data set", Path(), classes)
    return with_names(plain(table, "the data set"), file) if classes else table


def _classes(features: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, kind in features.items():
        while isinstance(kind, list) or hasattr(kind, "feature"):
            kind = kind[0] if isinstance(kind, list) else kind.feature
        if type(kind).__name__ == "ClassLabel" and kind.names:
            yield name, tuple(map(str, kind.names))


def _is_arrow_dataset(rows: Any) -> bool:
    module = sys.modules.get("pyarrow.dataset")  # which has made the rows, if they are its own
    return module is not None and isinstance(rows, (module.Dataset, module.Scanner))


def _is_torch_dataset(rows: Any) -> bool:
    return any(
        base.__module__.startswith("torch.utils.data") and base.__name__ == "Dataset"
        for base in type(rows).__mro__
    )


def _each_row(rows: Any) -> Iterable[Any]:
    if any(base.__name__ == "IterableDataset" for base in type(rows).__mro__):
        return rows  # type: ignore[no-any-return]  # some have a length, and none places
    if not hasattr(rows, "__len__"):
        raise InputError(
            f"the data are a {kind_of(rows)} without a length; expected __len__, or an "
            "IterableDataset"
        )
    return (rows[place] for place in range(len(rows)))


def _table_of(rows: Iterable[Any], columns: Callable[[Mapping[str, Any]], pa.Table]) -> pa.Table:
    """Turn rows into columns; a name that some rows lack is missing in these."""
    found: dict[str, list[Any]] = {}
    for count, row in enumerate(rows):
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            inside = f" ({', '.join(type(v).__name__ for v in row)})" if kind == "tuple" else ""
            raise InputError(
                f"row {count} of the data is a {kind}{inside}; expected {ROWS}. Inputs and targets "
                "as tensors go into motet.Trainer.fit, in a DataLoader"
            )
        for name in row:
            found.setdefault(name, [None] * count)
        for name, values in found.items():
            values.append(_value(row.get(name)))
    return columns(found)


def _value(value: Any) -> Any:
    """Return a value as Python has it: of tensors, of arrays and images, and of lists of these."""
    if hasattr(value, "detach"):
        return value.detach().cpu().tolist()
    if isinstance(value, list | tuple):
        return [_value(each) for each in value]
    if hasattr(value, "__array_interface__") and not hasattr(value, "ndim"):  # an image of Pillow
        return np.asarray(value).tolist()
    if getattr(getattr(value, "dtype", None), "kind", "") in _TIMES:
        return value  # as a list, times in nanoseconds are numbers
    if hasattr(value, "ndim") and hasattr(value, "tolist"):
        return value.tolist()
    return value
