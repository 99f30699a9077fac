"""How relevant each row is, among those of its list."""

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from motet.figures import figure
from motet.tasks.kinds.base import LabelKind, Likelihood, not_missing
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.labels import as_vector
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics


@final
class RelevanceLabels(LabelKind):
    """Relevance, from 0, and number of the query, (B, 2); predictions are scores (B,)."""

    name: ClassVar[str] = "relevance"
    default_metrics: ClassVar[tuple[str, ...]] = ("ndcg", "mrr", "map")
    uncertainty_kind: ClassVar[Likelihood] = "classification"
    flat: ClassVar[bool] = True

    def present(self, target: Tensor) -> Tensor:
        """Return which rows have both, (B,).

        Example:
            >>> RelevanceLabels().present(torch.tensor([[2.0, 7.0], [torch.nan, 7.0]]))
            tensor([ True, False])
        """
        return not_missing(target).all(dim=-1)

    def present_or_none(self, target: Tensor) -> Tensor | None:
        return self.present(target)

    def restore(self, target: Tensor) -> Tensor:
        return target.double()

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return as_vector(raw), target

    def row_scores(self, value: Tensor, target: Tensor) -> None:
        """Return None: of scores, only their order within a query matters."""

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction:
        """Return the same score for every row, so that all orders are equally likely."""
        return Prediction(torch.zeros(1, dtype=torch.float64))

    def ranges(self, value: Tensor, target: Tensor) -> Ranges:
        return ranges_of(value.unsqueeze(1), target[:, :1])

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        if not bool(ranges.constant & ranges.varied):
            return ""
        return f"{figure(float(ranges.low))} in all {ranges.rows:,} rows"
