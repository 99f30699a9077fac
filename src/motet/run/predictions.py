"""Predictions as files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from motet.data import list_texts
from motet.run.folder import check_output, finite
from motet.writing import replacing


def _write_csv(table: pa.Table, path: Path) -> None:
    columns = [
        _joined(column) if pa.types.is_list(column.type) else column for column in table.columns
    ]
    pa.csv.write_csv(pa.table(columns, table.column_names), path)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    """Turn lists, which CSV does not support, into texts."""
    if pa.types.is_struct(column.type.value_type):
        return pa.array([json.dumps(row, ensure_ascii=False) for row in column.to_pylist()])
    return pa.array([list_texts.written(row) for row in column.to_pylist()], pa.string())


def _write_json_lines(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for rows in table.to_batches(max_chunksize=_ROWS):
            for row in rows.to_pylist():
                file.write(json.dumps(finite(row), ensure_ascii=False, allow_nan=False) + "\n")


_ROWS = 10_000
"""Number of rows converted to Python objects at a time."""

_WRITERS: dict[str, Callable[[pa.Table, Path], Any]] = {
    ".csv": _write_csv,
    ".parquet": pq.write_table,
    ".jsonl": _write_json_lines,
}


def check_prediction_file(path: Path) -> None:
    """Check that predictions can be written to ``path``.

    Raises:
        InputError: If the suffix is unknown, the file exists already, or its folder does not.
    """
    check_output(path, tuple(_WRITERS))


def write_predictions(table: pa.Table, path: Path) -> None:
    """Write predictions in the format of the suffix.

    In CSV lists are texts, see `motet.data.list_texts`, and spans are JSON.
    """
    with replacing(path) as temporary:
        _WRITERS[path.suffix.lower()](table, temporary)
