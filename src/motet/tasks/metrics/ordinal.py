"""Metrics of ordered classes."""

from math import nan

import torch
from torch import Tensor

from motet.tasks.metric import Score, ScoredRows, Totals, gathering


@gathering("ordinal")
def kappa(rows: ScoredRows) -> Totals:
    """Return Cohen's kappa with quadratic weights (Cohen, Psychological Bulletin 70, 1968).

    1 - mean squared distance between predicted and true place / the distance expected of places
    that are drawn independently with the same shares: 0 for a constant, 1 if all are right.
    """
    value, target = rows.value.double(), rows.target.double()
    apart = (value - target).square().sum()
    squares = value.square().sum() + target.square().sum()
    sums = torch.stack([value.sum(), target.sum()])
    return Totals((apart, squares, sums, value.new_tensor(len(value))), _kappa)


def _kappa(apart: Tensor, squares: Tensor, sums: Tensor, rows: Tensor) -> Score:
    expected = float(squares - 2 * sums.prod() / rows)
    if expected <= 0:
        return Score(nan, "all labels and predictions are of one class")
    return Score(1 - float(apart) / expected)
