"""One number per row, of which some are known only as bounds."""

from typing import ClassVar, final

import torch
from torch import Tensor

from motet.tasks.kinds.base import Likelihood
from motet.tasks.kinds.numbers import NumberLabels
from motet.tasks.labels import as_vector
from motet.tasks.moments import Moments


@final
class IntervalLabels(NumberLabels):
    """Intervals (B, 2), low and high; equal where the number is known, NaN where it is missing.

    In original units they are numbers (B,), NaN where only a bound is known, as metrics need them.
    """

    name: ClassVar[str] = "interval"
    uncertainty_kind: ClassVar[Likelihood] = "likelihood"

    def present(self, target: Tensor) -> Tensor:
        known = ~target.isnan()
        return known if target.ndim == 1 else known.all(dim=1)

    def present_or_none(self, target: Tensor) -> Tensor:
        return self.present(target)  # a label has two numbers, so their number would not be counted

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return as_vector(raw), target

    def moments(self, target: Tensor) -> Moments:
        """Return the moments of the numbers, where a bound counts as the number that it names."""
        low, high = target.double().unbind(dim=1)
        return Moments.of([torch.where(low.isinf(), high, low)])
