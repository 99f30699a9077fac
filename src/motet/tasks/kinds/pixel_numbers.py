"""One number for every pixel of a row's image."""

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor

from motet.tasks.kinds.base import LabelKind, Likelihood
from motet.tasks.kinds.numbers import (
    NumberLabels,
    constant_numbers,
    weighted_constant,
    weighted_quantiles,
)
from motet.tasks.kinds.pixel_classes import repeated_pixel, some_pixels, weights_of_pixels
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.moments import Moments
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics


@final
class PixelNumberLabels(LabelKind):
    """Numbers (B, H, W), NaN where missing.

    Metrics get the labelled pixels of all rows, (N,).
    """

    name: ClassVar[str] = "pixel_numbers"
    default_metrics: ClassVar[tuple[str, ...]] = ("mae", "rmse", "depth_error")
    uncertainty_kind: ClassVar[Likelihood] = "regression"

    def present(self, target: Tensor) -> Tensor:
        """Return which pixels have a label, (B, H, W)."""
        return ~target.isnan()

    def present_or_none(self, target: Tensor) -> Tensor | None:
        return NumberLabels().present_or_none(target)

    def without(self, target: Tensor, rows: Tensor) -> Tensor:
        return NumberLabels().without(target, rows)

    def aligned(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labelled pixels of all rows, (N,)."""
        known = self.present(target)
        return value[known], target[known]

    def aligned_weights(self, weights: Tensor, target: Tensor) -> Tensor:
        return weights_of_pixels(weights, target)[self.present(target)]

    def row_scores(self, value: Tensor, target: Tensor) -> Tensor:
        return NumberLabels().row_scores(value, target)

    def repeated(self, prediction: Prediction, target: Tensor) -> Prediction:
        """Return one number, (1, 1, 1), for every pixel."""
        return Prediction(repeated_pixel(prediction.value, target))

    def sampled(self, target: Tensor) -> Tensor:
        """Return the labels of some pixels, (B, 256) at most."""
        return some_pixels(target, self.present(target))

    def moments(self, target: Tensor) -> Moments:
        return Moments.of([target[self.present(target)].double()])

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction:
        """Return the constant that is best by a metric for some pixels of every row, (1, 1, 1).

        The median for mae; for depth_error that of labels above 0, weighted by 1 / label, where the
        sum of relative errors is least; the mean for other metrics.
        """
        rows = restore(labels.sample.rows)
        weights = rows.new_ones(len(rows)) if labels.weights is None else labels.sample.weights
        known = self.present(rows)
        wide, numbers = self.aligned_weights(weights.to(rows), rows), rows[known]
        if metric == "depth_error" and bool((numbers > 0).any()):
            wide, numbers = wide[numbers > 0], numbers[numbers > 0]
            value = weighted_quantiles(numbers, wide / numbers, (0.5,))[0]
        elif labels.weights is None and metric == "mae":
            value = numbers.median()
        else:
            value = weighted_constant(numbers, wide, metric)
        return Prediction(value.reshape(1, 1, 1).float())

    def unit_note(self, labels: LabelStatistics) -> str:
        return NumberLabels().unit_note(labels)

    def ranges(self, value: Tensor, target: Tensor) -> Ranges | None:
        return ranges_of(value.unsqueeze(1), target.unsqueeze(1)) if len(value) else None

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        found = ", ".join(constant_numbers(ranges, names))
        return f"{found} for every pixel" if found else ""
