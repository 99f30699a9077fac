"""Metrics of counts."""

from math import inf, log, nan

import torch
from torch import Tensor

from motet.tasks.metric import Score, ScoredRows, Totals, gathering


@gathering("count")
def d2(rows: ScoredRows) -> Totals:
    """Return 1 - Poisson deviance / deviance of the split's own mean.

    The deviance of counts y from m is 2 sum(y log(y / m) - y + m). Not clamped: worse than the mean
    is below 0, and a prediction of 0 where something was counted is -inf.
    """
    found, truth = rows.value.double(), rows.target.double()
    logs = torch.xlogy(truth, truth)
    apart = logs - torch.xlogy(truth, found) - truth + found
    negative = (found < 0).sum()
    count = truth.new_tensor(len(truth))
    return Totals((apart.sum(), logs.sum(), truth.sum(), count, negative), _d2)


def _d2(apart: Tensor, logs: Tensor, total: Tensor, count: Tensor, negative: Tensor) -> Score:
    if bool(negative):
        return Score(nan, f"{int(negative):,} predicted counts are negative")
    mean = float(total / count)
    of_mean = float(logs) - (float(total) * log(mean) if mean else 0)
    if of_mean <= 1e-12 * float(logs.abs() + total):
        return Score(nan, "the labels are constant")
    found = float(apart)
    return Score(-inf if found == inf else 1 - found / of_mean)
