"""The rows of a split as training and evaluation take them, and predictions of the test rows."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from motet.data.arrays import ArrayData
from motet.data.lacking import lacking_in
from motet.data.preprocessing import Preprocessing
from motet.data.several import Sources
from motet.data.stream import StreamData
from motet.data.trees import take_rows
from motet.processes import processes_of
from motet.run.prepared import ROW, SOURCE, AnyPrepared, Prepared
from motet.run.runs import Run
from motet.run.stream_prepared import TEST, PreparedStream, split_parts


def rows_of(
    prepared: AnyPrepared,
    inputs: Mapping[str, dict[str, Any]],
    split: str,
    soft: Mapping[str, Any] | None = None,
) -> ArrayData | StreamData | Sources:
    """Return the rows of "train", "validation", "test" or "calibration".

    Args:
        prepared: The run's rows.
        inputs: What the encoder takes, for all rows of each source.
        split: The split.
        soft: What teachers predict for its rows, which one source has in memory.

    Returns:
        The rows; of several sources, those of enabled tasks that have some.
    """
    if isinstance(prepared, PreparedStream):
        processes = processes_of()
        return prepared.data(split, processes.rank, processes.count)
    found = {}
    for source, part in prepared.used.items():
        rows = getattr(part.rows.split, split)
        if len(rows) or not source:
            found[source] = ArrayData(
                take_rows(inputs[source], rows), part.labels(split), part.row_weights(split), soft
            )
    if "" in found:
        return found[""]
    shapes = prepared.preprocessing.shapes()
    return Sources(found, lacking={name: lacking_in(shapes, inputs[name]) for name in found})


def write_test_predictions(
    file: Path, run: Run, prepared: AnyPrepared, inputs: Mapping[str, dict[str, Any]]
) -> None:
    """Write predictions of the test rows, each with its number in its source, and true labels.

    Columns are ``row`` and the predictions; of several sources also ``source``, and nothing for the
    tasks of other sources, nor any row of those without an enabled task.

    Args:
        file: Where to.
        run: The finished run.
        prepared: The run's rows.
        inputs: What the encoder takes, for all rows of each source.
    """
    if isinstance(prepared, PreparedStream):
        _write_parts(file, _predicted_parts(run, prepared))
        return
    found = []
    for source, part in prepared.used.items():
        tasks = run.model.labelled_tasks
        if source:
            tasks = tuple(task for task in tasks if task in part.rows.tasks)
        if tasks:
            found.append(_predicted(run, part, inputs[source], tasks))
    joined = pa.concat_tables(found, promote_options="permissive")
    pq.write_table(joined, file, write_page_checksum=True)


def _predicted_parts(run: Run, prepared: PreparedStream) -> Iterator[pa.Table]:
    """Read the rows again, and predict those of the test split part by part."""
    tasks = run.model.labelled_tasks
    for first, table, places in split_parts(prepared.rows):
        rows = np.flatnonzero(places == TEST)
        if len(rows):
            part = table.take(pa.array(rows))
            found = run.predict_arrays(prepared.preprocessing.inputs(part), tasks, rows=part)
            found = _with_truth(found, part, prepared.preprocessing, tasks)
            yield found.add_column(0, ROW, pa.array(rows + first))


def _write_parts(file: Path, parts: Iterator[pa.Table]) -> None:
    first = next(parts)
    with pq.ParquetWriter(file, first.schema, write_page_checksum=True) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part.cast(first.schema))


def _predicted(
    run: Run, part: Prepared, inputs: dict[str, Any], tasks: tuple[str, ...]
) -> pa.Table:
    rows, name, table = part.rows.split.test, part.rows.name, part.table_of("test")
    found = _with_truth(
        run.predict_arrays(take_rows(inputs, rows), tasks, rows=table),
        table,
        part.preprocessing,
        tasks,
    ).add_column(0, ROW, pa.array(rows))
    return found.add_column(0, SOURCE, pa.array([name] * len(rows))) if name else found


def _with_truth(
    predictions: pa.Table, table: pa.Table, preprocessing: Preprocessing, tasks: Iterable[str]
) -> pa.Table:
    """Put ``<task>_true``, the labels as they were given, before each task's predictions."""
    columns: dict[str, Any] = {}
    for task in tasks:
        labels = preprocessing.target(task).true_columns(table.column_names)
        columns |= {name: table[label] for name, label in labels.items()}
    for name in predictions.column_names:
        columns[name] = predictions[name]
    return pa.table(columns)
