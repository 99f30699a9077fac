"""Predictions as files, written part by part."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from motet.data import list_texts
from motet.data.values import is_list
from motet.live import Progress
from motet.run.folder import check_output, finite
from motet.run.runs import Run
from motet.training.kept import Weights
from motet.writing import replacing

Write = Callable[[pa.Table], Any]
"""Writes some rows, of one schema."""


@contextmanager
def _csv(path: Path, first: pa.Table) -> Iterator[Write]:
    with pa.csv.CSVWriter(path, _spelt(first).schema) as writer:
        yield lambda table: writer.write_table(_spelt(table))


def _spelt(table: pa.Table) -> pa.Table:
    columns = [_joined(column) if is_list(column.type) else column for column in table.columns]
    return pa.table(columns, table.column_names)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    """Turn lists, which CSV does not support, into texts."""
    inner = column.type.value_type
    if pa.types.is_struct(inner) or is_list(inner):
        rows = [json.dumps(row, ensure_ascii=False) for row in column.to_pylist()]
        return pa.array(rows, pa.string())
    return pa.array([list_texts.written(row) for row in column.to_pylist()], pa.string())


@contextmanager
def _parquet(path: Path, first: pa.Table) -> Iterator[Write]:
    with pq.ParquetWriter(path, first.schema) as writer:
        yield writer.write_table


@contextmanager
def _json_lines(path: Path, first: pa.Table) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:

        def write(table: pa.Table) -> None:
            file.writelines(f"{text}\n" for text in row_texts(table))

        yield write


def row_texts(table: pa.Table) -> Iterator[str]:
    """Yield each row of predictions as a JSON object; NaN becomes null."""
    for rows in table.to_batches(max_chunksize=_ROWS):
        for row in rows.to_pylist():
            yield json.dumps(finite(row), ensure_ascii=False, allow_nan=False)


_ROWS = 10_000
"""Number of rows converted to Python objects at a time."""

_WRITERS: dict[str, Callable[[Path, pa.Table], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _json_lines,
}


def check_prediction_file(path: Path) -> None:
    """Check that predictions can be written to ``path``.

    Raises:
        InputError: If the suffix is unknown, the file exists already, or its folder does not.
    """
    check_output(path, tuple(_WRITERS))


def write_predictions(predictions: pa.Table | Iterable[pa.Table], path: Path) -> None:
    """Write predictions in the format of the suffix; the file appears when all are written.

    In CSV lists are texts, see `motet.data.list_texts`; spans and labels of pixels are JSON.

    Args:
        predictions: A table, or one for some rows after the other, at least one.
        path: The file.
    """
    parts = iter([predictions] if isinstance(predictions, pa.Table) else predictions)
    first = next(parts)
    with replacing(path) as temporary, _WRITERS[path.suffix.lower()](temporary, first) as write:
        write(first)
        for part in parts:
            write(part)


def predict_to_file(
    run: Run,
    data: Any,
    path: Path,
    *,
    tasks: Iterable[str] | None = None,
    weights: Weights = "best",
    spread: bool = False,
    intervals: float | None = None,
    step: Callable[[str], object] = lambda line: None,
) -> int:
    """Predict for rows and write the predictions part by part, in constant memory.

    Args:
        run: The run.
        data: As for `Run.predict`, and so are ``tasks`` and ``weights``.
        path: The file, of a suffix that `check_prediction_file` accepts.
        tasks: Which tasks.
        weights: Which weights.
        spread: Whether to add how far members are apart.
        intervals: Level of intervals and sets to add.
        step: Called with a line about the rows done so far.

    Returns:
        Number of rows.
    """
    count, predicted = run.predicted_parts(
        data, tasks=tasks, weights=weights, spread=spread, intervals=intervals
    )
    done = 0

    def parts() -> Iterator[pa.Table]:
        nonlocal done
        for part in predicted:
            yield part
            done += len(part)
            step(Progress(f"{done:,} of {count:,} rows", done, count))

    write_predictions(parts(), path)
    return done
