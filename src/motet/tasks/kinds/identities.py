"""Which rows are alike: a class of each row, of which only equality matters."""

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from motet.tasks.kinds.base import LabelKind, Likelihood
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.labels import as_vector
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics


@final
class IdentityLabels(LabelKind):
    """Classes (B,), of any number; predictions are embeddings (B, D)."""

    name: ClassVar[str] = "identity"
    default_metrics: ClassVar[tuple[str, ...]] = ("recall_at_1",)
    uncertainty_kind: ClassVar[Likelihood] = "classification"

    def restore(self, target: Tensor) -> Tensor:
        return as_vector(target)

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return raw, as_vector(target)

    def row_scores(self, value: Tensor, target: Tensor) -> None:
        """Return None: of embeddings, only distances matter."""

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction:
        """Return the same embedding for every row, so that each is equally near to all others."""
        return Prediction(torch.zeros(1, 1, dtype=torch.float64))

    def ranges(self, value: Tensor, target: Tensor) -> Ranges:
        labels = target.unsqueeze(1).expand(len(target), value.shape[1])
        return ranges_of(value, labels)

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        alike = bool(ranges.constant.all()) and bool(ranges.varied.all())
        return f"the same embedding in all {ranges.rows:,} rows" if alike else ""
