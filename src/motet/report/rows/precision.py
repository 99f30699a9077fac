"""Precision, recall and F1 from counts."""

from collections.abc import Mapping
from typing import NamedTuple

from motet.report.elements import Table

_SHOWN = 40


class Counts(NamedTuple):
    """How often a label or span occurs."""

    true: int
    """In the truth."""
    predicted: int
    right: int
    """In both, at the same place."""


def precision_table(what: str, counts: Mapping[str, Counts]) -> Table:
    """Make a table of the most frequent ones; none has a precision that was never predicted."""
    order = sorted(counts, key=lambda name: -counts[name].true)
    rows = [
        (
            name,
            (each := counts[name]).true,
            each.right / each.predicted if each.predicted else None,
            each.right / each.true if each.true else None,
            2 * each.right / (each.true + each.predicted) if each.true + each.predicted else None,
        )
        for name in order[:_SHOWN]
    ]
    if len(order) > _SHOWN:
        left = [counts[name].true for name in order[_SHOWN:]]
        rows.append((f"(and {len(left)} rarer ones)", sum(left), None, None, None))
    return Table((what, "in the truth", "precision", "recall", "F1"), rows, bars=(2, 3, 4))
