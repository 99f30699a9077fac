"""Rows with a number each: predictions over the truth, residuals, coverage of quantiles."""

from collections.abc import Iterator

import numpy as np

from motet.figures import figure
from motet.report.elements import Element, Figure, Table, Titled
from motet.report.facts import NumberRows
from motet.report.rows.wrong import Wrong

MEASURE = "residual"
_BINS = 24


def figures(rows: NumberRows, points: int) -> Iterator[Element]:
    """Yield the figures of a task, or of one of its outputs.

    Args:
        rows: The rows.
        points: How many of them are drawn, evenly chosen in order of the truth.
    """
    yield _against_truth(rows, points)
    yield _residuals(rows)
    if rows.quantiles:
        yield Titled("Quantiles", _coverage(rows), wide=False)


def _title(rows: NumberRows, title: str) -> str:
    return f"{title} ({rows.title})" if rows.title else title


def _against_truth(rows: NumberRows, points: int) -> Figure:
    order = np.argsort(rows.truth, kind="stable")
    drawn = order[np.linspace(0, len(order) - 1, min(len(order), points)).astype(int)]
    low, high = float(rows.truth.min()), float(rows.truth.max())
    return Figure(
        _title(rows, "Predicted over true"),
        [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [low, high],
                "y": [low, high],
                "hoverinfo": "skip",
                "showlegend": False,
                "meta": {"role": "reference"},
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": rows.truth[drawn],
                "y": rows.predicted[drawn],
                "showlegend": False,
                "marker": {"size": 5, "opacity": 0.55},
                "meta": {"role": "series"},
            },
        ],
        f"{len(drawn):,} of {len(order):,} rows; on the line they are right.",
        Table(("tenth of true values", "mean true", "mean predicted", "rows"), _tenths(rows)),
        {"xaxis": {"title": {"text": "true"}}, "yaxis": {"title": {"text": "predicted"}}},
    )


def _tenths(rows: NumberRows) -> list[tuple[int, float, float, int]]:
    order = np.argsort(rows.truth, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    return [
        (place, float(rows.truth[p].mean()), float(rows.predicted[p].mean()), len(p))
        for place, p in enumerate(parts, 1)
    ]


def _residuals(rows: NumberRows) -> Figure:
    residuals = rows.predicted - rows.truth
    low, high = np.quantile(residuals, [0.005, 0.995]).tolist()
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(residuals, bins=_BINS, range=(low, high))
    outside = len(residuals) - int(counts.sum())
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    size = float(np.abs(residuals).mean())
    more = f" {outside:,} rows lie outside of the figure." if outside else ""
    return Figure(
        _title(rows, "Residuals: predicted minus true"),
        [
            {
                "type": "bar",
                "x": middles,
                "y": counts,
                "width": float(edges[1] - edges[0]) * 0.95,
                "showlegend": False,
                "meta": {"role": "series"},
            }
        ],
        f"Mean {figure(float(residuals.mean()))}, mean size {figure(size)}; half of all rows are "
        f"within {figure(float(np.median(np.abs(residuals))))}.{more}",
        Table(
            ("from", "to", "rows"),
            [
                (float(a), float(b), int(n))
                for a, b, n in zip(edges, edges[1:], counts, strict=False)
            ],
        ),
        {
            "xaxis": {"title": {"text": "residual"}},
            "yaxis": {"title": {"text": "rows"}},
            "shapes": [{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}],
        },
    )


def _coverage(rows: NumberRows) -> Table:
    found = [
        (level, float((rows.truth <= values).mean())) for level, values in rows.quantiles.items()
    ]
    return Table(("level", "share of rows at or below"), found, bars=(1,))


def wrong(rows: NumberRows, count: int) -> list[Wrong]:
    """Return the rows with the largest residuals, the largest first."""
    residuals = rows.predicted - rows.truth
    places = np.argsort(-np.abs(residuals), kind="stable")[:count]
    return [
        Wrong(
            int(place),
            figure(float(rows.truth[place])),
            figure(float(rows.predicted[place])),
            float(residuals[place]),
        )
        for place in places
        if residuals[place]
    ]
