"""The rows of a split as training and evaluation take them, and predictions of the test rows."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from motet.data.arrays import ArrayData
from motet.data.lacking import lacking_in
from motet.data.several import Sources
from motet.data.trees import take_rows
from motet.run.prepared import ROW, SOURCE, AnyPrepared, Prepared
from motet.run.runs import Run, with_truth


def rows_of(
    prepared: AnyPrepared, inputs: Mapping[str, dict[str, Any]], split: str
) -> ArrayData | Sources:
    """Return the rows of "train", "validation" or "test".

    Args:
        prepared: The run's rows.
        inputs: What the encoder takes, for all rows of each source.
        split: The split.

    Returns:
        The rows; of several sources, those of enabled tasks that have some.
    """
    found = {}
    for source, part in prepared.used.items():
        rows = getattr(part.rows.split, split)
        if len(rows) or not source:
            found[source] = ArrayData(
                take_rows(inputs[source], rows), part.labels(split), part.row_weights(split)
            )
    if "" in found:
        return found[""]
    shapes = prepared.preprocessing.shapes()
    return Sources(found, lacking={name: lacking_in(shapes, inputs[name]) for name in found})


def test_predictions(
    run: Run, prepared: AnyPrepared, inputs: Mapping[str, dict[str, Any]]
) -> pa.Table:
    """Predict the test rows, each with its number in its source, and with the true labels.

    Args:
        run: The finished run.
        prepared: The run's rows.
        inputs: What the encoder takes, for all rows of each source.

    Returns:
        ``row`` and the predictions; of several sources also ``source``, and nothing for the tasks
        of other sources, nor any row of those without an enabled task.
    """
    found = []
    for source, part in prepared.used.items():
        tasks = run.model.labelled_tasks
        if source:
            tasks = tuple(task for task in tasks if task in part.rows.tasks)
        if tasks:
            found.append(_predicted(run, part, inputs[source], tasks))
    return pa.concat_tables(found, promote_options="permissive")


test_predictions.__test__ = False  # type: ignore[attr-defined]  # for pytest


def _predicted(
    run: Run, part: Prepared, inputs: dict[str, Any], tasks: tuple[str, ...]
) -> pa.Table:
    rows, name, table = part.rows.split.test, part.rows.name, part.table_of("test")
    found = with_truth(
        run.predict_arrays(take_rows(inputs, rows), tasks, rows=table),
        table,
        part.preprocessing,
        tasks,
    ).add_column(0, ROW, pa.array(rows))
    return found.add_column(0, SOURCE, pa.array([name] * len(rows))) if name else found
