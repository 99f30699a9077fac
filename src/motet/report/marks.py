"""The kinds of figure that sections share: curves, heat maps, bars."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from motet.report.elements import Figure, Table, Trace, said
from motet.report.short_names import short

Curve = tuple[Sequence[float], Sequence[float | None]]
"""Places on the axis, and values."""
_POINTS = 200
"""Points of a curve above which only some are drawn."""
_WIDE = 16
"""Columns of a matrix above which it takes the width of the page."""
_EACH = 140
"""Bars up to which each has its name."""
_IN_ALL = 6000
"""Points of all curves of a figure above which each is drawn with fewer."""


def curves(
    title: str,
    found: Mapping[str, Curve],
    *,
    x: str,
    y: str,
    text: str,
    by_task: bool = True,
    beside: Mapping[str, Curve] | None = None,
    wide: bool = False,
    kept: Mapping[str, float] | None = None,
    log: bool = False,
    most: int | None = None,
) -> Figure:
    """Draw one curve per task, or per anything else.

    Args:
        title: What the figure shows.
        found: The curves by name.
        x: Title of the axis.
        y: Title of the other axis.
        text: The figure in a sentence.
        by_task: Whether names are those of tasks, of which users choose some.
        beside: Curves that are always shown, such as a mean.
        wide: See `Figure`.
        kept: A place on the axis to mark, by its name, such as the best epoch.
        log: Whether values are on a logarithmic scale.
        most: Points of a curve above which only some are drawn.

    Returns:
        The figure; its table has the first, the lowest, the highest and the last value of each.
    """
    traces: list[Trace] = []
    places = [place for own, _ in found.values() for place in own]
    markers = len(set(places)) <= 40
    most = most or points(len(found))
    labels = short([*found, *(beside or {})], 28)
    for name, (own, values) in found.items():
        trace = _line(labels[name], own, values, most, markers=markers)
        trace["meta"] = {"task": name, "role": "task"} if by_task else {"role": "series"}
        traces.append(trace)
    for name, (own, values) in (beside or {}).items():
        trace = _line(labels[name], own, values, most, markers=False)
        trace["meta"] = {"role": "mean"}
        traces.append(trace)
    shapes = [
        {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "name": name}
        for name, at in (kept or {}).items()
    ]
    notes = [
        {"x": at, "y": 1, "yref": "paper", "yanchor": "bottom", "text": said(name)}
        for name, at in (kept or {}).items()
    ]
    rows = [(name, *_ends(values)) for name, (_, values) in {**found, **(beside or {})}.items()]
    names = ["" if name in (beside or {}) else str(name) for name, *_ in rows] if by_task else []
    return Figure(
        title,
        traces,
        text,
        Table(("", "first", "lowest", "highest", "last"), rows, names),
        {
            "xaxis": {"title": {"text": said(x)}},
            "yaxis": {
                "title": {"text": said(y)},
                **({"type": "log"} if log else {}),
                **_powers(value for _, values in found.values() for value in values),
            },
            "shapes": [{**each, "line": {"dash": "dot", "width": 1}} for each in shapes],
            "annotations": [{**each, "showarrow": False} for each in notes],
        },
        wide=wide,
    )


def points(curves: int) -> int:
    """Return how many points each of so many curves should have at most.

    Example:
        >>> points(3), points(128)
        (200, 46)
    """
    return max(40, min(_POINTS, _IN_ALL // max(1, curves)))


def _line(
    name: str, places: Sequence[float], values: Sequence[Any], most: int, *, markers: bool
) -> Trace:
    chosen = thinned(len(places), most)
    return {
        "type": "scatter",
        "mode": "lines+markers" if markers else "lines",
        "name": said(name),
        "x": [places[place] for place in chosen],
        "y": [values[place] for place in chosen],
    }


def thinned(count: int, most: int) -> list[int]:
    """Return at most so many of the places of a curve, evenly, the first and last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, most).tolist()})


def _ends(values: Sequence[float | None]) -> tuple[float | None, ...]:
    known = [value for value in values if value is not None]
    return (known[0], min(known), max(known), known[-1]) if known else (None,) * 4


def heat_map(
    title: str,
    values: Sequence[Sequence[float | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[Any],
    x: str,
    y: str,
    text: str,
    table: Table,
    scale: str = "sequential",
    limits: tuple[float, float] | None = None,
    wide: bool = False,
    what: str = "",
) -> Figure:
    """Draw a matrix; the first row is on top.

    Args:
        title: What the figure shows.
        values: A row of numbers for each of ``rows``.
        rows: Their names.
        columns: Names of the columns, or numbers.
        x: Title of the axis.
        y: Title of the other axis.
        text: The figure in a sentence.
        table: Its numbers.
        scale: "sequential", or "diverging" around 0.
        limits: The lowest and the highest value of the scale.
        wide: See `Figure`.
        what: What a value is.

    Returns:
        The figure.
    """
    named = [said(name) for name in short(rows, 40).values()]
    numeric = all(isinstance(each, (int, float)) for each in columns)
    across = list(columns) if numeric else [said(n) for n in short(map(str, columns)).values()]
    small = _powers(chain.from_iterable(values))
    wide = wide or (len(across) > _WIDE and not numeric)
    trace: Trace = {
        "type": "heatmap",
        "x": across,
        "y": named,
        "z": values,
        "meta": {"role": scale},
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}, %{{x}}: %{{z:.3g}} {said(what)}<extra></extra>",
        "colorbar": {"thickness": 12, "outlinewidth": 0, **small},
    }
    if limits is not None:
        trace |= {"zmin": limits[0], "zmax": limits[1]}
    if max(len(named), len(across)) <= 12 and not numeric:
        trace["texttemplate"] = "%{z:.1e}" if small else "%{z:.2~f}"
    size = max(9, min(12, 900 // max(1, len(named))))
    return Figure(
        title,
        [trace],
        text,
        table,
        {
            "xaxis": {
                "title": {"text": said(x)},
                **({} if numeric else {"type": "category"}),
                **({"tickangle": -45} if _crowded(across) else {}),
                "showgrid": False,
                "tickfont": {"size": size},
            },
            "yaxis": {
                "title": {"text": said(y)},
                "type": "category",
                "autorange": "reversed",
                "showgrid": False,
                "tickfont": {"size": size},
            },
        },
        max(260, min(900, 150 + 22 * len(named))),
        wide,
    )


def _powers(values: Iterable[float | None]) -> dict[str, str]:
    """Return how an axis writes small numbers: plotly itself uses the letters of units."""
    largest = max((abs(value) for value in values if value), default=1.0)
    return {"exponentformat": "e"} if largest < 0.01 else {}


def _crowded(names: Sequence[Any]) -> bool:
    return sum(len(name) + 2 for name in names if isinstance(name, str)) > 50


def bars(
    title: str,
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    x: str,
    text: str,
    stacked: bool = False,
    wide: bool = False,
) -> Figure:
    """Draw horizontal bars, one for each name and series."""
    labels = [said(name) for name in short(names).values()]
    traces: list[Trace] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": said(name),
            "x": list(values),
            "y": labels,
            "meta": {"role": "series"},
        }
        for name, values in series.items()
    ]
    rows = [(name, *(values[i] for values in series.values())) for i, name in enumerate(names)]
    size = max(8, min(12, 1400 // max(1, len(names))))
    return Figure(
        title,
        traces,
        text,
        Table(("", *series), rows),
        {
            "barmode": "stack" if stacked else "group",
            "xaxis": {"title": {"text": said(x)}},
            "yaxis": {
                "type": "category",
                "autorange": "reversed",
                "tickfont": {"size": size},
                **({"dtick": 1} if len(names) <= _EACH else {}),
            },
        },
        max(220, min(1600, 110 + 20 * len(names) * (1 if stacked else len(series)))),
        wide,
    )
