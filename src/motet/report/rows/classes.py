"""Rows with a class each: confusion, reliability, and precision and recall of classes."""

from collections.abc import Iterator

import numpy as np

from motet.report.elements import Element, Figure, Table, Titled
from motet.report.facts import ClassRows, Floats, Integers
from motet.report.marks import heat_map
from motet.report.rows.reliability import reliability
from motet.report.rows.wrong import Wrong

MEASURE = "probability of the true class"
_SHOWN = 24
"""Classes of a confusion matrix; of more, those with most errors."""


def figures(rows: ClassRows, points: int) -> Iterator[Element]:
    """Yield the figures of a task.

    Args:
        rows: The rows.
        points: Of no effect, as rows are not drawn one by one.
    """
    matrix = confusion(rows.truth, rows.predicted, len(rows.names))
    yield _confusion_map(rows, matrix)
    if rows.probabilities is not None:
        yield from _reliability(rows, rows.probabilities)
    yield Titled("Classes", _class_table(rows, matrix), wide=False)


def confusion(truth: Integers, predicted: Integers, classes: int) -> Integers:
    """Count rows by true class (row) and predicted class (column).

    Returns:
        Counts (C, C).

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _confusion_map(rows: ClassRows, matrix: Integers) -> Figure:
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    count = len(rows.names)
    shown = np.arange(count) if count <= _SHOWN else np.sort(np.argsort(-errors)[:_SHOWN])
    part = matrix[np.ix_(shown, shown)]
    names = [rows.names[place] for place in shown]
    of = np.maximum(matrix.sum(axis=1)[shown], 1)[:, None]
    right = matrix.diagonal().sum() / max(1, matrix.sum())
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    text = f"{right:.1%} of {int(matrix.sum()):,} rows are right."
    if off.any():
        i, j = divmod(int(off.argmax()), count)
        text += f" Most common error: {rows.names[i]} predicted as {rows.names[j]}, {off[i, j]:,}."
    if len(shown) < count:
        text += f" The {_SHOWN} of {count:,} classes with most errors are shown."
    table = Table(("true", *names), [(n, *map(int, r)) for n, r in zip(names, part, strict=True)])
    return heat_map(
        "Confusion: share of each true class",
        (part / of).tolist(),
        rows=names,
        columns=names,
        x="predicted",
        y="true",
        text=text,
        table=table,
        limits=(0, 1),
    )


def _reliability(rows: ClassRows, probabilities: Floats) -> Iterator[Element]:
    if len(rows.names) == 2:
        yield reliability(
            probabilities[:, 1], rows.truth == 1, f"probability of {rows.names[1]}", "frequency"
        )
    else:
        chosen = probabilities.argmax(axis=1)
        yield reliability(
            probabilities.max(axis=1),
            chosen == rows.truth,
            "probability of the predicted class",
            "share that is right",
        )


def _class_table(rows: ClassRows, matrix: Integers) -> Table:
    right, true, said = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    order = np.argsort(-true, kind="stable")[:_SHOWN]
    found = [
        (
            rows.names[place],
            int(true[place]),
            _ratio(right[place], said[place]),
            _ratio(right[place], true[place]),
            _ratio(2 * right[place], true[place] + said[place]),
        )
        for place in order
    ]
    return Table(("class", "rows", "precision", "recall", "F1"), found, bars=(2, 3, 4))


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def wrong(rows: ClassRows, count: int) -> list[Wrong]:
    """Return the wrong rows with the lowest probability of the true class, the lowest first."""
    known = np.arange(len(rows.truth))
    if rows.probabilities is None:
        degree = np.where(rows.truth == rows.predicted, 1.0, 0.0)
    else:
        degree = rows.probabilities[known, rows.truth]
    places = known[rows.truth != rows.predicted]
    places = places[np.argsort(degree[places], kind="stable")][:count]
    return [
        Wrong(
            int(place),
            rows.names[rows.truth[place]],
            rows.names[rows.predicted[place]],
            float(degree[place]),
        )
        for place in places
    ]
