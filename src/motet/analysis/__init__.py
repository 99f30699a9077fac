"""Analysis of tasks and results: NumPy and plain dictionaries in, small records out."""

from motet.analysis.margins import NotWorse, not_worse, not_worse_by_groups
from motet.analysis.statistics import (
    Difference,
    Interval,
    holm,
    interval,
    mean_ranks,
    paired,
    unpaired,
)
from motet.analysis.transfer import Transfer, transfer

__all__ = [
    "Difference",
    "Interval",
    "NotWorse",
    "Transfer",
    "holm",
    "interval",
    "mean_ranks",
    "not_worse",
    "not_worse_by_groups",
    "paired",
    "transfer",
    "unpaired",
]
