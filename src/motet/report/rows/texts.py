"""Rows with a text each: how much of it is right."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from motet.report.elements import Element, Table, Titled
from motet.report.facts import TextRows
from motet.report.rows.wrong import Wrong

MEASURE = "F1 of words"


def figures(rows: TextRows, points: int) -> Iterator[Element]:
    """Yield the table of a task.

    Args:
        rows: The rows.
        points: Of no effect, as rows are not drawn one by one.
    """
    overlaps = np.array([overlap(a, b) for a, b in zip(rows.truth, rows.predicted, strict=True)])
    edges = [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    found = [(f"{a:g} to {b:g}", int(((overlaps >= a) & (overlaps < b)).sum())) for a, b in edges]
    found.append(("all words right", int((overlaps == 1).sum())))
    yield Titled("Words that are right", Table(("F1 of words", "rows"), found), wide=False)


def overlap(truth: str, predicted: str) -> float:
    """Return the F1 of the words of two texts, whatever their order.

    Returns:
        A number from 0 to 1.

    Example:
        >>> overlap("a b c d", "b c x y")
        0.5
    """
    expected, found = Counter(truth.split()), Counter(predicted.split())
    total = expected.total() + found.total()
    return 2 * (expected & found).total() / total if total else 1.0


def wrong(rows: TextRows, count: int) -> list[Wrong]:
    """Return the texts with fewest right words."""
    found = [
        Wrong(place, truth, predicted, overlap(truth, predicted))
        for place, (truth, predicted) in enumerate(zip(rows.truth, rows.predicted, strict=True))
        if truth != predicted
    ]
    return sorted(found, key=lambda each: each.degree)[:count]
