"""One number for every word of a row."""

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor

from motet.tasks.kinds.base import LabelKind, Likelihood
from motet.tasks.kinds.numbers import NumberLabels, constant_numbers, weighted_constant
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.moments import Moments
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics


@final
class WordNumberLabels(LabelKind):
    """Numbers (B, L), NaN where missing and after the last word of a row; L differs.

    Metrics get the labelled words of all rows, (N,).
    """

    name: ClassVar[str] = "word_numbers"
    default_metrics: ClassVar[tuple[str, ...]] = NumberLabels.default_metrics
    uncertainty_kind: ClassVar[Likelihood] = "regression"

    def present(self, target: Tensor) -> Tensor:
        return ~target.isnan()

    def present_or_none(self, target: Tensor) -> Tensor:
        return self.present(target)  # rows differ in length, so some are missing

    def aligned(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labelled words of all rows, (N,)."""
        length = min(value.shape[1], target.shape[1])  # further words have no label
        value, target = value[:, :length], target[:, :length]
        known = self.present(target)
        return value[known], target[known]

    def aligned_weights(self, weights: Tensor, target: Tensor) -> Tensor:
        return weights.unsqueeze(1).expand_as(target)[self.present(target)]

    def row_scores(self, value: Tensor, target: Tensor) -> Tensor:
        length = min(value.shape[1], target.shape[1])
        return NumberLabels().row_scores(value[:, :length], target[:, :length])

    def repeated(self, prediction: Prediction, target: Tensor) -> Prediction:
        """Return one number, (1, 1), for every word."""
        return Prediction(prediction.value.to(target.device).expand_as(target))

    def moments(self, target: Tensor) -> Moments:
        return Moments.of([target[self.present(target)].double()])

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction:
        """Return the median for mae, the mean for other metrics, (1, 1)."""
        known = restore(labels.sample.rows)
        if labels.weights is not None:
            weights = self.aligned_weights(labels.sample.weights, known)
            value = weighted_constant(known[self.present(known)], weights, metric)
            return Prediction(value.reshape(1, 1))
        value = known.nanmedian() if metric == "mae" else known.nanmean()
        return Prediction(value.reshape(1, 1))

    def unit_note(self, labels: LabelStatistics) -> str:
        return NumberLabels().unit_note(labels)

    def ranges(self, value: Tensor, target: Tensor) -> Ranges | None:
        return ranges_of(value.unsqueeze(1), target.unsqueeze(1)) if len(value) else None

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        found = ", ".join(constant_numbers(ranges, names))
        return f"{found} for every word" if found else ""
