"""Segmentation: one of C classes for every pixel of an image."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.options import (
    Callable,
    Fraction,
    Named,
    NonNegativeFloat,
    NonNegativeInt,
    OnlyWith,
    PositiveFloat,
    PositiveInt,
    TaskOptions,
    TwoOrMore,
    Unpack,
    checked,
)
from motet.problems import RowError
from motet.tasks.additive import clean, of_elements, sum_selected
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind, PixelClassLabels
from motet.tasks.labels import MISSING, at_least_float32, named_classes
from motet.tasks.losses.finding import CLASS_LOSSES, find_class_loss
from motet.tasks.map_heads import MapHead
from motet.tasks.maps import check_size, fitting_map, wide_weights
from motet.tasks.prediction import Kept
from motet.tasks.statistics import LabelStatistics
from motet.tasks.weights import ClassWeights, count_of


@final
class Segmentation(Task):
    """Predict one of C classes for every pixel.

    Targets are class indices (B, H, W), -100, NaN or ``ignore_index`` where a pixel has no label.
    Raw outputs are (B, C, H, W); those of a coarser map are interpolated bilinearly to the labels.
    The loss is a mean over labelled pixels, whatever row they are of, with class weights as in
    `Classification`. Predictions are class indices (B, H, W), int16, without probabilities, which
    would take C times the memory.

    Args:
        name: The task's name.
        classes: Number of classes, or their names in the order of their indices. A run from a
            config takes one more than the largest training label if left out.
        ignore_index: A further number that means "no label", such as 255.
        size: Height and width of labels and predictions. If left out, those of the images in a run
            from a config, else those of the labels in the loss and of the map in predictions.
        loss: Loss to train on, by name; from Python also a function ``(raw, target)`` of the logits
            (n, C) and classes (n,) of labelled pixels that returns a loss per pixel or their mean.
        class_weights: One weight per class, or balanced: inverse to how many pixels of the training
            labels classes have.
        label_smoothing: Share of every label that is spread over all classes; 0 if left out.
        gamma: How strongly focal loss reduces the weight of pixels that are already right; 2 if
            left out.
        input: Name of the image whose pixels have the labels, where a config has several.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> import torch
        >>> digit = Segmentation("digit", classes=2, ignore_index=255)
        >>> raw = torch.tensor([[[[2.0, 5.0]], [[0.0, 5.0]]]])  # (1, 2, 1, 2)
        >>> digit.loss(raw, torch.tensor([[[0, 255]]]))
        (tensor(0.1269), tensor(1.))
    """

    kind: ClassVar[str] = "segmentation"
    labels: ClassVar[LabelKind | str] = "pixel_classes"
    reads_state: ClassVar[str] = "map"

    @checked
    def __init__(
        self,
        name: str,
        *,
        classes: TwoOrMore | Sequence[str] | None = None,
        ignore_index: NonNegativeInt | None = None,
        size: tuple[PositiveInt, PositiveInt] | None = None,
        loss: Annotated[str, Named("loss", ("cross_entropy", "focal"))]
        | Callable[..., Any] = "cross_entropy",
        class_weights: Annotated[
            Literal["balanced"] | Sequence[PositiveFloat] | None,
            OnlyWith("loss", ("cross_entropy", "focal")),
        ] = None,
        label_smoothing: Annotated[Fraction | None, OnlyWith("loss", ("cross_entropy",))] = None,
        gamma: Annotated[NonNegativeFloat | None, OnlyWith("loss", ("focal",))] = None,
        input: str | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs, self.class_names = named_classes(name, classes, least=2)
        self.ignore_index, self.size = ignore_index, size
        if ignore_index is not None:
            self.label_kind = PixelClassLabels(ignore_index)
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_class_loss(loss, label_smoothing, gamma)
        self.weights: ClassWeights | None = None
        if class_weights is not None:
            self.require_outputs()
            self.weights = ClassWeights(class_weights, self.outputs, name)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw = at_least_float32(fitting_map(self, raw, target)).movedim(1, -1).flatten(0, 2)
        target, wide = self.counted(target, weights), wide_weights(weights, target)
        present = self.label_kind.present_or_none(target)
        known = None if present is None else present.flatten()
        classes = clean(target.flatten(), known).long()
        count = self._count(classes, known, wide)
        if self.loss_name not in CLASS_LOSSES:
            known = torch.ones_like(classes, dtype=torch.bool) if known is None else known
            return sum_selected(self.loss_function, raw, classes, known, wide)[0], count
        class_weights = self.weights() if self.weights else None
        function = partial(self.loss_function, class_weights=class_weights)
        if known is None and wide is None:
            return function(raw, classes, reduction="sum"), count
        losses = clean(function(clean(raw, known), classes), known)
        if wide is not None:
            losses = losses * of_elements(wide, losses, known)
        return losses.sum(), count

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        target, wide = self.counted(target, weights), wide_weights(weights, target)
        present = self.label_kind.present_or_none(target)
        known = None if present is None else present.flatten()
        return self._count(clean(target.flatten(), known).long(), known, wide)

    def make_head(self, width: int) -> nn.Module:
        return MapHead(self._bare_head(width), self.size)

    def keep(self, raw: Tensor, target: Tensor) -> Kept:
        return super().keep(fitting_map(self, raw, target), target)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(raw.argmax(dim=1).to(torch.int16))

    def restore(self, target: Tensor) -> Tensor:
        """Return class indices (B, ...), int16, -100 where missing."""
        present = self.label_kind.present(target)
        return clean(target, present).to(torch.int16).where(present, MISSING)

    def combine(self, members: Sequence[Prediction]) -> Prediction:
        """Return for each pixel the class that most models predict; of equals, the first one."""
        return Prediction(torch.stack([each.value for each in members]).mode(dim=0).values)

    def check(self, target: Tensor) -> None:
        """Check size and range of labels.

        Raises:
            InputError: If they have another shape, or the number of classes is not known.
            RowError: If one is not a class index.
        """
        self.require_outputs()
        check_size(self, target, "-100 or NaN")
        present = self.label_kind.present(target)
        wrong = (target < 0) | (target >= self.outputs)
        if target.is_floating_point():
            wrong |= target != target.floor()
        wrong &= present
        if bool(wrong.any()):
            row, line, column = wrong.nonzero()[0].tolist()
            missing = f"-100 or {self.ignore_index}" if self.ignore_index is not None else "-100"
            raise RowError(
                f"task {self.name!r}: found the class {target[row, line, column].item()} in",
                row,
                f" at line {line}, column {column} of its labels; expected 0 to "
                f"{self.outputs - 1}, or {missing} where missing",
            )

    def learn(self, labels: LabelStatistics) -> None:
        """Learn balanced class weights, and their mean."""
        if self.weights:
            (counts,) = labels.weighted_totals_of(self.outputs)
            self.weights.learn_from(counts, counts)

    @property
    def prepared(self) -> bool:
        """Whether the mean class weight is known, if classes are weighted."""
        return self.weights is None or self.weights.has_mean

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return the class of most pixels for every pixel, (1, 1, 1)."""
        (counts,) = labels.weighted_totals_of(self.outputs)
        return Prediction(counts.argmax().reshape(1, 1, 1).to(torch.int16))

    def _count(self, classes: Tensor, known: Tensor | None, weights: Tensor | None) -> Tensor:
        own = self.weights if self.loss_name != "focal" else None
        return count_of(classes, known, weights, own, self.row_weights)
