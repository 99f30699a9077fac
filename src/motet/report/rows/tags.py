"""Rows with any number of labels each: precision and recall of labels, reliability."""

from collections.abc import Iterator

import numpy as np

from motet.report.elements import Element, Titled
from motet.report.facts import TagRows
from motet.report.rows.precision import Counts, precision_table
from motet.report.rows.reliability import reliability
from motet.report.rows.wrong import Wrong

MEASURE = "labels that are wrong"


def figures(rows: TagRows, points: int) -> Iterator[Element]:
    """Yield the figures of a task.

    Args:
        rows: The rows.
        points: Of no effect, as rows are not drawn one by one.
    """
    known = ~np.isnan(rows.truth)
    true, said = (rows.truth == 1) & known, (rows.predicted == 1) & known
    counts = {
        name: Counts(int(t.sum()), int(s.sum()), int((t & s).sum()))
        for name, t, s in zip(rows.names, true.T, said.T, strict=True)
    }
    yield Titled("Labels", precision_table("label", counts), wide=False)
    if rows.probabilities is not None and known.any():
        yield reliability(
            rows.probabilities[known],
            rows.truth[known] == 1,
            "probability of a label",
            "share that is there",
        )


def wrong(rows: TagRows, count: int) -> list[Wrong]:
    """Return the rows with most wrong labels, the most first."""
    errors = np.where(np.isnan(rows.truth), 0, rows.truth != rows.predicted).sum(axis=1)
    places = np.argsort(-errors, kind="stable")[:count]
    return [
        Wrong(
            int(place),
            _named(rows, rows.truth[place]),
            _named(rows, rows.predicted[place]),
            int(errors[place]),
        )
        for place in places
        if errors[place]
    ]


def _named(rows: TagRows, row: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    names = [name for name, value in zip(rows.names, row, strict=True) if value == 1]
    return ", ".join(names) or "none"
