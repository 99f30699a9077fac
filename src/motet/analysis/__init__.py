"""Analysis of tasks and results: NumPy and plain dictionaries in, small records out."""

from typing import TYPE_CHECKING, Any

from motet.analysis.affinity import affinity, first_order_affinity
from motet.analysis.calibration import temperature
from motet.analysis.clusters import cluster
from motet.analysis.groupings import Grouping, groupings
from motet.analysis.margins import NotWorse, not_worse, not_worse_by_groups
from motet.analysis.representations import cka
from motet.analysis.similarity import Similarity, correlation, similarity
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
from motet.elsewhere import missing

__all__ = [
    "Difference",
    "Grouping",
    "Interval",
    "NotWorse",
    "Similarity",
    "Transfer",
    "affinity",
    "cka",
    "cluster",
    "correlation",
    "first_order_affinity",
    "groupings",
    "holm",
    "interval",
    "mean_ranks",
    "not_worse",
    "not_worse_by_groups",
    "paired",
    "similarity",
    "temperature",
    "transfer",
    "unpaired",
]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
