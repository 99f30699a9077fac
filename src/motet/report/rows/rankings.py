"""Rows that are put in order inside lists: where the most relevant row of each list is put."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from motet.report.elements import Element, Figure, Table
from motet.report.facts import Integers, RankedRows
from motet.report.rows.wrong import Wrong

MEASURE = "place in its list"
_PLACES = 10


def figures(rows: RankedRows, points: int) -> Iterator[Element]:
    """Yield the figure of a task.

    Args:
        rows: The rows.
        points: Of no effect, as rows are not drawn one by one.
    """
    firsts = [place for place, _ in _best(rows).values()]
    counts = [firsts.count(place) for place in range(1, _PLACES + 1)]
    later = len(firsts) - sum(counts)
    names = [*map(str, range(1, _PLACES + 1)), f"after {_PLACES}"]
    values = [*counts, later]
    share = counts[0] / max(1, len(firsts))
    yield Figure(
        "Place of the most relevant row of each list",
        [
            {
                "type": "bar",
                "x": names,
                "y": values,
                "showlegend": False,
                "meta": {"role": "series"},
            }
        ],
        f"It is first in {share:.1%} of {len(firsts):,} lists with several rows.",
        Table(("place", "lists"), list(zip(names, values, strict=True))),
        {
            "xaxis": {"title": {"text": "place"}, "type": "category"},
            "yaxis": {"title": {"text": "lists"}},
        },
    )


def _best(rows: RankedRows) -> dict[str, tuple[int, int]]:
    """Return, of each list with several rows, the place of the most relevant row, and the row."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(rows.lists):
        members[name].append(row)
    found = {}
    for name, each in members.items():
        own: Integers = np.array(each)
        if len(own) > 1 and rows.truth[own].min() < rows.truth[own].max():
            order = own[np.argsort(-rows.predicted[own], kind="stable")]
            best = rows.truth[order] == rows.truth[own].max()
            place = int(best.argmax())
            found[name] = (place + 1, int(order[place]))
    return found


def wrong(rows: RankedRows, count: int) -> list[Wrong]:
    """Return the most relevant rows that are put lowest."""
    found = [
        Wrong(row, f"{rows.truth[row]:g} in list {name}", f"{rows.predicted[row]:.4g}", place)
        for name, (place, row) in _best(rows).items()
        if place > 1
    ]
    return sorted(found, key=lambda each: -each.degree)[:count]
