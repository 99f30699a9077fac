"""One of C classes per row, or shares of all of them."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from motet.tasks.kinds.base import LabelKind, not_missing
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.labels import as_vector, is_soft
from motet.tasks.statistics import count_classes, stacked


class ClassLabels(LabelKind):
    """Whole numbers (B,), or shares of classes (B, C), "soft labels"."""

    name: ClassVar[str] = "class"
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "auroc", "log_loss")

    def present(self, target: Tensor) -> Tensor:
        """Return which rows have a label, (B,).

        Example:
            >>> import torch
            >>> ClassLabels().present(torch.tensor([3, -100]))
            tensor([ True, False])
        """
        if target.ndim == 1:
            return not_missing(target)
        return ~target.isnan().any(dim=-1) if is_soft(target) else as_vector(not_missing(target))

    def restore(self, target: Tensor) -> Tensor:
        return as_vector(target)

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return raw, as_vector(target)

    def totals(self, target: Tensor) -> Tensor:
        """Return how many rows each class has, and the sum of its shares."""
        if is_soft(target):
            largest = count_classes(target.argmax(dim=-1))
            return stacked([largest, target.double().sum(dim=0)])
        counts = count_classes(as_vector(target).long())
        return stacked([counts, counts])

    def weighted_totals(self, target: Tensor, weights: Tensor) -> Tensor:
        if is_soft(target):
            shares = target.double()
            return stacked([count_classes(target.argmax(dim=-1), weights), weights @ shares])
        counts = count_classes(as_vector(target).long(), weights)
        return stacked([counts, counts])

    def ranges(self, value: Tensor, target: Tensor) -> Ranges:
        labels = target.argmax(dim=-1) if target.ndim == 2 else target  # shares of classes
        return ranges_of(value.unsqueeze(1), labels.unsqueeze(1))

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        return constant_class(ranges, names, f"in all {ranges.rows:,} rows")


def constant_class(ranges: Ranges, names: Sequence[str] | None, where: str) -> str:
    """Name the class that is always predicted although labels differ; empty if there is none."""
    if not bool(ranges.constant & ranges.varied):
        return ""
    place = int(ranges.low)
    return f"{repr(names[place]) if names else place} {where}"
