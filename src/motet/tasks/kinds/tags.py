"""One of C tags for every word of a row."""

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor

from motet.states import MISSING, lengthened
from motet.tasks.kinds.base import LabelKind, not_missing
from motet.tasks.kinds.classes import constant_class
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import count_classes


@final
class TagLabels(LabelKind):
    """Whole numbers (B, L), missing after the last word of a row; L differs between batches."""

    name: ClassVar[str] = "tags"
    default_metrics: ClassVar[tuple[str, ...]] = ("token_accuracy",)

    def aligned(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        length = max(value.shape[1], target.shape[1])
        return lengthened(value, length), lengthened(target, length)

    def is_broken(self, prediction: Prediction, target: Tensor) -> bool:
        """Return whether a labelled word has no tag, as one whose scores are NaN has none."""
        return bool(((prediction.value == MISSING) & (target != MISSING)).any())

    def repeated(self, prediction: Prediction, target: Tensor) -> Prediction:
        """Return one tag, (1, 1), for every word."""
        return Prediction(prediction.value.to(target.device).expand_as(target))

    def totals(self, target: Tensor) -> Tensor:
        """Return how many words each tag has."""
        return count_classes(target[not_missing(target)].long()).unsqueeze(0)

    def weighted_totals(self, target: Tensor, weights: Tensor) -> Tensor:
        known = not_missing(target)
        wide = weights.unsqueeze(1).expand(target.shape)
        return count_classes(target[known].long(), wide[known]).unsqueeze(0)

    def ranges(self, value: Tensor, target: Tensor) -> Ranges | None:
        words = (value != MISSING) & (target != MISSING)
        found = value[words].unsqueeze(1)
        return ranges_of(found, target[words].unsqueeze(1)) if len(found) else None

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        return constant_class(ranges, names, "for every word")
