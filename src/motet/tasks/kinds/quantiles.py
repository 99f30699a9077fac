"""One number per row, of which quantiles are predicted."""

from typing import ClassVar, final

from torch import Tensor

from motet.tasks.kinds.base import Likelihood
from motet.tasks.kinds.numbers import NumberLabels
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.labels import as_vector


@final
class QuantileLabels(NumberLabels):
    """Numbers (B,), with raw outputs and predictions (B, K), one for each quantile."""

    name: ClassVar[str] = "quantile"
    default_metrics: ClassVar[tuple[str, ...]] = ("pinball",)
    uncertainty_kind: ClassVar[Likelihood] = "laplace"
    flat: ClassVar[bool] = False

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return raw, as_vector(target)

    def row_scores(self, value: Tensor, target: Tensor) -> Tensor:
        """Return residuals of the mean of the predicted quantiles."""
        return super().row_scores(value.mean(dim=1), target)

    def ranges(self, value: Tensor, target: Tensor) -> Ranges:
        return ranges_of(value, target.unsqueeze(1).expand_as(value))
