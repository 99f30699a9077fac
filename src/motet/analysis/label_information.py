"""Mutual information of the labels of two tasks, adjusted for chance."""

from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.problems import InputError

_DISTINCT, _BINS = 20, 10


def adjusted_information(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Compute the adjusted mutual information (Vinh et al., JMLR 2010, normalised by √(H_a H_b)).

    Without the adjustment independent labels share information, the more the more classes and the
    fewer rows there are: 0.1 for ten classes each and 200 rows.

    Args:
        a: Classes of the rows, counted from 0, (N,).
        b: Classes of the same rows, (N,).

    Returns:
        1 for the same partition of rows, 0 by chance; NaN if one has a single class, or both have
        a class for every row, which chance explains.
    """
    if not len(a):
        return nan
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1), dtype=np.int64)
    np.add.at(table, (a, b), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if 1 in table.shape or table.shape == (len(a), len(a)):
        return nan
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    scale = sqrt(entropy(rows / len(a)) * entropy(columns / len(a)))
    chance = _expected(rows, columns)
    return (mutual_information(table / len(a)) - chance) / (scale - chance)


def mutual_information(joint: NDArray[np.float64]) -> float:
    """Return the mutual information of a joint distribution, (A, B), in nats."""
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())


def entropy(p: NDArray[np.float64]) -> float:
    """Return the entropy of a distribution, in nats."""
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def as_codes(labels: Any) -> NDArray[np.int64]:
    """Turn labels into classes counted from 0, (N,); -1 where one is missing.

    Args:
        labels: Any values, (N,); of more than 20 different numbers ten bins of equal counts are
            made.

    Returns:
        The classes.

    Raises:
        InputError: If labels cannot be compared with each other.
    """
    listed = [None if each != each else each for each in _listed(labels)]
    given = np.empty(len(listed), dtype=object)
    given[:] = listed
    known = np.array([each is not None for each in listed], dtype=bool)
    codes = np.full(len(given), -1, dtype=np.int64)
    try:
        distinct, places = np.unique(given[known], return_inverse=True)
        if len(distinct) > _DISTINCT and not any(isinstance(each, str) for each in distinct):
            numbers = given[known].astype(np.float64)
            edges = np.quantile(numbers, np.linspace(0, 1, _BINS + 1)[1:-1])
            places = np.searchsorted(edges, numbers, side="right")
    except (TypeError, ValueError):
        raise InputError(
            "found labels that cannot be compared with each other; expected one class or number "
            "for each row",
            option="values",
        ) from None
    codes[known] = places
    return codes


def _listed(labels: Any) -> list[Any]:
    convert = getattr(labels, "tolist", None)
    return list(labels) if convert is None else convert()


def _expected(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
    """Return the mean mutual information of tables with these sums (hypergeometric model)."""
    n = int(rows.sum())
    logs = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])  # of factorials
    total = 0.0
    for a, repeated in zip(*np.unique(rows, return_counts=True), strict=True):
        for b, again in zip(*np.unique(columns, return_counts=True), strict=True):
            cells = np.arange(max(1, a + b - n), min(a, b) + 1)
            log_p = logs[a] + logs[b] + logs[n - a] + logs[n - b] - logs[n] - logs[cells]
            log_p -= logs[a - cells] + logs[b - cells] + logs[n - a - b + cells]
            gain = cells / n * (np.log(n * cells) - np.log(a * b))
            total += float(repeated * again * (gain * np.exp(log_p)).sum())
    return total
