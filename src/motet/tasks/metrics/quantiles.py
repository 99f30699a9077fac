"""Metrics of quantiles."""

from math import nan

from motet.tasks.losses.elements import pinball as pinball_loss
from motet.tasks.metric import Final, Score, ScoredRows, Totals, gathering, share


@gathering("quantile", best=0.0)
def pinball(rows: ScoredRows) -> Totals:
    """Return the mean pinball loss in original units, averaged over quantiles."""
    losses = pinball_loss(rows.value, rows.target, quantiles=rows.levels)
    return Totals((losses.sum(), losses.new_tensor(len(losses))), share)


@gathering("quantile", best=None)
def coverage(rows: ScoredRows) -> Totals | Final:
    """Return the share of labels from the lowest to the highest quantile.

    It should be near the difference of their levels: 0.8 between 0.1 and 0.9.
    """
    if len(rows.levels) < 2:
        return Final(Score(nan, "one quantile has no interval"))
    inside = (rows.value[:, 0] <= rows.target) & (rows.target <= rows.value[:, -1])
    return Totals((inside.sum(), rows.value.new_tensor(len(inside))), share)
