"""One of C classes for every pixel of a row's image."""

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor

from motet.tasks.kinds.base import LabelKind, mean_of_rows, not_missing
from motet.tasks.kinds.classes import constant_class
from motet.tasks.kinds.ranges import Ranges, ranges_of
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import count_classes

SAMPLED = 256
"""Pixels of a row, evenly spaced, from which statistics that need single labels are learned."""


@final
class PixelClassLabels(LabelKind):
    """Whole numbers (B, H, W), -100 or NaN where missing.

    Metrics get the labelled pixels of all rows, (N,).

    Args:
        ignored: A further number that means "no label".
    """

    name: ClassVar[str] = "pixel_classes"
    default_metrics: ClassVar[tuple[str, ...]] = ("mean_iou", "accuracy")

    def __init__(self, ignored: int | None = None) -> None:
        self.ignored = ignored

    def present(self, target: Tensor) -> Tensor:
        """Return which pixels have a label, (B, H, W).

        Example:
            >>> import torch
            >>> PixelClassLabels(255).present(torch.tensor([[[3, -100, 255]]]))
            tensor([[[ True, False, False]]])
        """
        found = not_missing(target)
        return found if self.ignored is None else found & (target != self.ignored)

    def present_or_none(self, target: Tensor) -> Tensor | None:
        return super().present_or_none(target) if self.ignored is None else self.present(target)

    def aligned(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labelled pixels of all rows, (N,)."""
        known = self.present(target)
        return value[known], target[known].long()

    def aligned_weights(self, weights: Tensor, target: Tensor) -> Tensor:
        return weights_of_pixels(weights, target)[self.present(target)]

    def row_scores(self, value: Tensor, target: Tensor) -> Tensor:
        return mean_of_rows((value == target).double(), self.present(target))

    def repeated(self, prediction: Prediction, target: Tensor) -> Prediction:
        """Return one class, (1, 1, 1), for every pixel."""
        return Prediction(repeated_pixel(prediction.value, target))

    def sampled(self, target: Tensor) -> Tensor:
        """Return the labels of some pixels, (B, 256) at most."""
        return some_pixels(target, self.present(target))

    def totals(self, target: Tensor) -> Tensor:
        """Return how many pixels each class has."""
        return count_classes(target[self.present(target)].long()).unsqueeze(0)

    def weighted_totals(self, target: Tensor, weights: Tensor) -> Tensor:
        known = self.present(target)
        wide = weights_of_pixels(weights, target)
        return count_classes(target[known].long(), wide[known]).unsqueeze(0)

    def ranges(self, value: Tensor, target: Tensor) -> Ranges | None:
        return ranges_of(value.unsqueeze(1), target.unsqueeze(1)) if len(value) else None

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        return constant_class(ranges, names, "for every pixel")


def some_pixels(target: Tensor, present: Tensor) -> Tensor:
    """Return evenly spaced pixels of labels (B, H, W): all of few, else half of 256 at least.

    A row of which none of these has a label gives its first labelled pixels instead.
    """
    flat, known = target.flatten(1), present.flatten(1)
    places = slice(None, None, max(1, -(-flat.shape[1] // SAMPLED)))
    chosen = flat[:, places]
    sparse = known.any(dim=1) & ~known[:, places].any(dim=1)
    if not bool(sparse.any()):
        return chosen
    chosen = chosen.clone()
    for row in sparse.nonzero().flatten().tolist():
        own = flat[row][known[row]][: chosen.shape[1]]
        chosen[row, : len(own)] = own
    return chosen


def weights_of_pixels(weights: Tensor, target: Tensor) -> Tensor:
    """Return the weights of rows (B,) as those of their pixels, in the shape of ``target``."""
    return weights.view(-1, *[1] * (target.ndim - 1)).expand_as(target)


def repeated_pixel(value: Tensor, target: Tensor) -> Tensor:
    """Return a constant (1, 1, 1) for every pixel of labels (B, ...)."""
    return value.reshape([1] * target.ndim).to(target.device).expand_as(target)
