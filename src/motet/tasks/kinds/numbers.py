"""One number per row, or several."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from motet.figures import figure
from motet.tasks.kinds.base import LabelKind, Likelihood, mean_of_rows
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.labels import as_vector
from motet.tasks.moments import Moments
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics

_LIKE = 1e-5
"""Spread of predicted numbers, relative to that of the labels, that rounding may cause."""


class NumberLabels(LabelKind):
    """Numbers (B,), or (B, K) for several outputs; -100 is one like any other."""

    name: ClassVar[str] = "number"
    default_metrics: ClassVar[tuple[str, ...]] = ("r2", "mae", "rmse")
    uncertainty_kind: ClassVar[Likelihood] = "regression"
    flat: ClassVar[bool] = True

    def present(self, target: Tensor) -> Tensor:
        """Return which numbers are there, (B,) or (B, K).

        Example:
            >>> NumberLabels().present(torch.tensor([-100.0, torch.nan]))
            tensor([ True, False])
        """
        if target.is_floating_point():
            return as_vector(~target.isnan())
        return as_vector(torch.ones_like(target, dtype=torch.bool))

    def present_or_none(self, target: Tensor) -> Tensor | None:
        cheap = target.device.type == "cpu" and target.numel()
        if cheap and not (target.is_floating_point() and math.isnan(target.sum())):  # NaN spreads
            return None
        return self.present(target)

    def without(self, target: Tensor, rows: Tensor) -> Tensor:
        return super().without(target if target.is_floating_point() else target.double(), rows)

    def restore(self, target: Tensor) -> Tensor:
        return as_vector(target).double()

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return as_vector(raw), as_vector(target)

    def row_scores(self, value: Tensor, target: Tensor) -> Tensor:
        return mean_of_rows((value - target).double(), ~target.isnan())

    def moments(self, target: Tensor) -> Moments:
        numbers = as_vector(target).double()
        outputs = [numbers] if numbers.ndim == 1 else numbers.unbind(dim=1)
        return Moments.of([each[~each.isnan()] for each in outputs])

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction:
        """Return the median for mae, the mean for other metrics; of a sample if there are many."""
        known = restore(labels.sample.rows)
        if labels.weights is not None:
            return Prediction(weighted_constant(known, labels.sample.weights, metric).unsqueeze(0))
        value = known.nanmedian(dim=0).values if metric == "mae" else known.nanmean(dim=0)
        return Prediction(value.unsqueeze(0))

    def unit_note(self, labels: LabelStatistics) -> str:
        if labels.moments is None:
            return ""
        mean, std = labels.moments.mean_and_std()
        if abs(mean) <= 10 and 0.01 < std < 10:
            return ""
        return f"mean {mean:.4g} and standard deviation {std:.4g}"

    def ranges(self, value: Tensor, target: Tensor) -> Ranges:
        rows = len(value)
        return ranges_of(value.reshape(rows, -1), target.reshape(rows, -1))

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        found = ", ".join(constant_numbers(ranges, names))
        return f"{found} in all {ranges.rows:,} rows" if found else ""


def weighted_constant(known: Tensor, weights: Tensor, metric: str) -> Tensor:
    """Return the weighted median for mae, else the weighted mean.

    Args:
        known: Numbers (N,) or (N, K), NaN where one is missing.
        weights: Of the rows, (N,).
        metric: The metric that will score it.

    Returns:
        One number () or one per output (K,).
    """
    if known.ndim == 2:
        columns = [weighted_constant(each, weights, metric) for each in known.unbind(dim=1)]
        return torch.stack(columns)
    if metric == "mae":
        return weighted_quantiles(known, weights, (0.5,))[0]
    there = ~known.isnan()
    known, weights = known[there], weights[there].to(known)
    return (known * weights).sum() / weights.sum()


def weighted_quantiles(known: Tensor, weights: Tensor, levels: Sequence[float]) -> Tensor:
    """Return the smallest numbers up to which the share of the weight reaches each level.

    Args:
        known: Numbers (N,), NaN where one is missing.
        weights: Of the numbers, (N,).
        levels: K levels between 0 and 1.

    Returns:
        Shape (K,); NaN where no number is there.
    """
    there = ~known.isnan()
    known, order = known[there].sort()
    if not len(known):
        return known.new_full((len(levels),), torch.nan)
    reached = weights[there].to(known)[order].cumsum(0)
    places = torch.searchsorted(reached, reached[-1] * known.new_tensor(levels))
    return known[places]


def constant_numbers(ranges: Ranges, names: Sequence[str] | None) -> Iterator[str]:
    """Yield the numbers that are always predicted although labels differ, of several by name."""
    several = len(ranges.low) > 1
    spreads = (ranges.label_high - ranges.label_low).tolist()
    alike = (ranges.high - ranges.low).tolist()
    means = (ranges.total / ranges.rows).tolist()
    for place, (spread, own) in enumerate(zip(spreads, alike, strict=True)):
        if spread > 0 and own <= _LIKE * spread:
            name = repr(names[place]) if names else place
            yield f"{figure(means[place])}{f' for {name}' if several else ''}"
