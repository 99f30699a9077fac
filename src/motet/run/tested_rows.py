"""Test rows for reports: predictions beside the truth, in arrays, by task."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from motet.config import Config
from motet.data.bounds import read_intervals
from motet.data.judged_rows import JudgedRows
from motet.data.preprocessing import Preprocessing
from motet.data.targets.base import Target
from motet.data.targets.classes import ClassTarget
from motet.data.targets.count import CountTarget
from motet.data.targets.indicators import IndicatorTarget
from motet.data.targets.interval import IntervalTarget
from motet.data.targets.number import NumberTarget
from motet.data.targets.ordinal import OrdinalTarget
from motet.data.targets.quantile import QuantileTarget
from motet.data.targets.relevances import RelevanceTarget
from motet.data.targets.tags import TagTarget
from motet.data.targets.text import TextTarget
from motet.data.values import as_floats, as_matrix
from motet.report.facts import (
    ClassRows,
    Integers,
    ListRows,
    NumberRows,
    RankedRows,
    TagRows,
    TaskFacts,
    TaskRows,
    TextRows,
)
from motet.run.prepared import ROW, SOURCE
from motet.run.source_rows import SourceRows


def tested_rows(
    path: Path,
    tasks: Mapping[str, TaskFacts],
    config: Config,
    preprocessing: Preprocessing,
    source: SourceRows,
) -> dict[str, TaskFacts]:
    """Return tasks with their labelled test rows.

    Args:
        path: The file of predictions.
        tasks: The tasks.
        config: The config of the run.
        preprocessing: What reads labels.
        source: Where columns beside the labels come from.
    """
    table = pq.ParquetFile(path).read()
    named = SOURCE in table.column_names and len(config.data.sources or {}) > 1
    parts = {
        name: table.filter(pc.equal(table[SOURCE], name))
        for name in (table[SOURCE].unique().to_pylist() if named else ())
    } or {"": table}
    found = {}
    for name, task in tasks.items():
        target = preprocessing.target(name)
        reader = _Reader(name, target, config, preprocessing, source)
        rows: list[TaskRows] = []
        note = ""
        for where, part in parts.items():
            if name in part.column_names or f"{name}_0" in part.column_names:
                own, note = reader.read(where, part)
                rows += own
        found[name] = replace(task, summary=target.summary, test=rows, note="" if rows else note)
    return found


class _Reader:
    """Reads the labelled test rows of one task."""

    def __init__(
        self,
        name: str,
        target: Target,
        config: Config,
        preprocessing: Preprocessing,
        source: SourceRows,
    ) -> None:
        self._name, self._target, self._preprocessing = name, target, preprocessing
        self._source = source
        judged = JudgedRows.of(name, config.tasks[name].options())
        self._beside = tuple(dict.fromkeys((*judged.columns, *target.beside)))

    def read(self, where: str, table: pa.Table) -> tuple[list[TaskRows], str]:
        """Return the rows of one source, or why there are none."""
        known = self._target.true_columns(())
        if not set(known) <= set(table.column_names):
            return [], ""
        rows = table[ROW].to_numpy().astype(np.int64)
        labels = pa.table({label: table[name] for name, label in known.items()})
        more = [name for name in self._beside if name not in labels.column_names]
        if more:
            found = self._source.take(where, rows, more, self._preprocessing.strings)
            if found is None:
                listed = ", ".join(more)
                return [], f"Test rows are not shown, as {listed} of the data cannot be read."
            for name in more:
                labels = labels.append_column(name, found[name])
        labels = self._preprocessing.judged(self._name, labels)
        read = _READERS.get(type(self._target))
        if read is None:
            return [], ""
        return read(self._name, self._target, labels, table, rows, where), ""


def _classes(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    encoded = target.encode(labels)
    if encoded.ndim == 2:  # shares of classes, of which the largest is taken for the true one
        known = ~np.isnan(encoded).any(axis=1)
        truth = np.where(np.isnan(encoded), 0, encoded).argmax(axis=1)
        said = pc.index_in(table[name].cast(pa.string()), pa.array(target.names)).to_numpy()
    else:
        known, truth = encoded >= 0, encoded
        said = target.encode(pa.table({target.column: table[name]}))
    probabilities = _probabilities(name, target, table)
    if not known.any():
        return []
    return [
        ClassRows(
            target.names,
            truth[known].astype(np.int64),
            said[known].astype(np.int64),
            None if probabilities is None else probabilities[known],
            rows[known],
            where,
        )
    ]


def _probabilities(name: str, target: Target, table: pa.Table) -> NDArray[np.float64] | None:
    columns = [f"{name}_probability_{label}" for label in target.names]
    if not set(columns) <= set(table.column_names):
        return None
    return np.column_stack([table[column].to_numpy() for column in columns])


def _numbers(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    column = labels[target.column]
    if name in table.column_names:
        return _one_number(
            as_floats(column, name), table[name].to_numpy(), rows, where, _quantiles(target, table)
        )
    truth = as_matrix(column, name)
    return [
        each
        for place in range(target.outputs)
        for each in _one_number(
            truth[:, place].astype(np.float64),
            table[f"{name}_{place}"].to_numpy(),
            rows,
            where,
            {},
            f"output {place}",
        )
    ]


def _quantiles(target: Any, table: pa.Table) -> dict[str, NDArray[np.float64]]:
    if not isinstance(target, QuantileTarget):
        return {}
    pairs = zip(target.levels, target.more_columns(), strict=True)
    return {f"{level:g}": table[column].to_numpy() for level, column in pairs}


def _one_number(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    rows: Integers,
    where: str,
    quantiles: Mapping[str, NDArray[np.float64]],
    title: str = "",
) -> list[TaskRows]:
    known = np.isfinite(truth) & np.isfinite(predicted)
    if not known.any():
        return []
    own = {level: values[known] for level, values in quantiles.items()}
    return [NumberRows(truth[known], predicted[known], rows[known], where, title, own)]


def _intervals(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    ends = read_intervals(labels[target.column], name)
    truth = np.where(ends[:, 0] == ends[:, 1], ends[:, 0], np.nan)
    return _one_number(truth, table[name].to_numpy(), rows, where, {}, "exact labels")


def _indicators(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    truth = target.encode(labels).astype(np.float64)
    known = ~np.isnan(truth).all(axis=1)
    if not known.any():
        return []
    lists = table[name].combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy()
    places = pc.index_in(lists.flatten(), pa.array(target.names)).to_numpy()
    predicted = np.zeros(truth.shape)
    predicted[parents, places] = 1
    probabilities = _probabilities(name, target, table)
    return [
        TagRows(
            target.names,
            truth[known],
            predicted[known],
            None if probabilities is None else probabilities[known],
            rows[known],
            where,
        )
    ]


def _tags(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    truth = target.encode(labels)
    predicted = target.encode(pa.table({target.column: table[name]}))
    width = max(truth.shape[1], predicted.shape[1])
    truth, predicted = (
        np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=-100)
        for each in (truth, predicted)
    )
    known = (truth >= 0).any(axis=1)
    if not known.any():
        return []
    return [
        ListRows(
            target.tags,
            truth[known].astype(np.int64),
            predicted[known].astype(np.int64),
            rows[known],
            where,
        )
    ]


def _relevances(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    encoded = target.encode(labels)
    known = ~np.isnan(encoded).any(axis=1)
    if not known.any():
        return []
    lists = [str(value) for value in labels[target.query].to_pylist()]
    return [
        RankedRows(
            encoded[known, 0].astype(np.float64),
            table[name].to_numpy()[known],
            [each for each, there in zip(lists, known, strict=True) if there],
            rows[known],
            where,
        )
    ]


def _texts(
    name: str, target: Any, labels: pa.Table, table: pa.Table, rows: Integers, where: str
) -> list[TaskRows]:
    pairs = [
        (str(truth), str(predicted), int(row))
        for truth, predicted, row in zip(
            labels[target.column].to_pylist(), table[name].to_pylist(), rows, strict=True
        )
        if truth is not None and predicted is not None
    ]
    if not pairs:
        return []
    truth, predicted, own = zip(*pairs, strict=True)
    return [TextRows(truth, predicted, np.array(own, dtype=np.int64), where)]


_Read = Callable[[str, Any, pa.Table, pa.Table, Integers, str], list[TaskRows]]
_READERS: Mapping[type[Target], _Read] = {
    ClassTarget: _classes,
    OrdinalTarget: _classes,
    IndicatorTarget: _indicators,
    NumberTarget: _numbers,
    CountTarget: _numbers,
    QuantileTarget: _numbers,
    IntervalTarget: _intervals,
    TagTarget: _tags,
    RelevanceTarget: _relevances,
    TextTarget: _texts,
}
"""How to read the rows of each kind of label; others have metrics alone."""
