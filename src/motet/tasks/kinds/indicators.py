"""Any number of C labels per row: 0 or 1 for each."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from motet.tasks.kinds.base import LabelKind
from motet.tasks.kinds.ranges import Ranges, ranges_of


@final
class IndicatorLabels(LabelKind):
    """0 or 1, (B, C), each cell of which may be missing."""

    name: ClassVar[str] = "indicators"
    default_metrics: ClassVar[tuple[str, ...]] = ("average_precision", "auroc", "accuracy")

    def totals(self, target: Tensor) -> Tensor:
        """Return how many zeros and ones each label has."""
        cells = target.unsqueeze(-1) if target.ndim == 1 else target
        return torch.stack([(cells == value).sum(dim=0).double() for value in (0, 1)])

    def weighted_totals(self, target: Tensor, weights: Tensor) -> Tensor:
        cells = target.unsqueeze(-1) if target.ndim == 1 else target
        return torch.stack([weights @ (cells == value).double() for value in (0, 1)])

    def ranges(self, value: Tensor, target: Tensor) -> Ranges:
        return ranges_of(value, target)

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        if not bool(ranges.constant.all()) or not bool(ranges.varied.any()):
            return ""
        chosen = ranges.low.nonzero().flatten().tolist()
        found = [repr(names[place]) if names else str(place) for place in chosen]
        return f"{', '.join(found) or 'no label'} in all {ranges.rows:,} rows"
