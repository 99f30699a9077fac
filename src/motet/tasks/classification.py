"""Classification: one of C classes per row. Two classes have two logits like any other number."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

from torch import Tensor

from motet.options import (
    Callable,
    Fraction,
    Named,
    NonNegativeFloat,
    OnlyWith,
    PositiveFloat,
    TaskOptions,
    TwoOrMore,
    Unpack,
    checked,
)
from motet.problems import InputError
from motet.tasks.additive import (
    all_one,
    clean,
    number_of,
    of_elements,
    size_of,
    sum_selected,
)
from motet.tasks.base import Prediction, Task, find_loss
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import (
    MISSING,
    as_vector,
    at_least_float32,
    first_wrong_place,
    is_soft,
    named_classes,
)
from motet.tasks.statistics import LabelStatistics
from motet.tasks.weights import ClassWeights, count_of

BUILT_IN = ("cross_entropy", "focal")


@final
class Classification(Task):
    """Predict one of C classes.

    Targets are class indices (B,), -100 or NaN where missing, or shares of classes (B, C), "soft
    labels", where a row with NaN is missing. The loss is a mean over labelled rows. With class
    weights w, the sum of cross-entropy is divided by the number of labelled rows times the mean
    weight of the training labels (that of a soft label is sum_c p_c w_c), so that the optimum does
    not depend on the batch size; before `prepare` has seen training labels by the weights of the
    batch's own labels, as PyTorch's mean does. Focal loss counts rows.

    Args:
        name: The task's name.
        classes: Number of classes, or their names in the order of their indices. A run from a
            config learns it from the training labels if left out.
        loss: Loss to train on, by name; from Python also a function ``(raw, target)`` of logits
            (n, C) and labels that returns a loss per row or their mean.
        class_weights: One weight per class, or balanced: inverse to how often classes occur in the
            training labels.
        label_smoothing: Share of every label that is spread over all classes; 0 if left out.
        gamma: How strongly focal loss reduces the weight of rows that are already right; 2 if left
            out.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> import torch
        >>> digit = Classification("digit", classes=2)
        >>> digit.loss(torch.tensor([[2.0, 0.0], [5.0, 5.0]]), torch.tensor([0, -100]))
        (tensor(0.1269), tensor(1.))
    """

    kind: ClassVar[str] = "classification"
    labels: ClassVar[LabelKind | str] = "class"

    @checked
    def __init__(
        self,
        name: str,
        *,
        classes: TwoOrMore | Sequence[str] | None = None,
        loss: Annotated[str, Named("loss", ("cross_entropy", "focal"))]
        | Callable[..., Any] = "cross_entropy",
        class_weights: Annotated[
            Literal["balanced"] | Sequence[PositiveFloat] | None,
            OnlyWith("loss", ("cross_entropy", "focal")),
        ] = None,
        label_smoothing: Annotated[Fraction | None, OnlyWith("loss", ("cross_entropy",))] = None,
        gamma: Annotated[NonNegativeFloat | None, OnlyWith("loss", ("focal",))] = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs, self.class_names = named_classes(name, classes, least=2)
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_loss(loss)
        self.weights: ClassWeights | None = None
        if class_weights is not None:
            self.require_outputs()
            self.weights = ClassWeights(class_weights, self.outputs, name)
        if loss == "cross_entropy":
            self.loss_function = partial(self.loss_function, label_smoothing=label_smoothing or 0.0)
        elif loss == "focal":
            self.loss_function = partial(self.loss_function, gamma=2.0 if gamma is None else gamma)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self._expect(raw, (len(target), self.outputs))
        raw = at_least_float32(raw)
        if weights is not None:
            target = self.counted(target, weights)
        if self.loss_name not in BUILT_IN:
            target, present = self._read(target)
            total, _ = sum_selected(self.loss_function, raw, target, present, weights)
            return total, self._count(target, present, weights)
        labelled = self.label_kind.present_or_none(target)
        target = self._clean(target, labelled)
        class_weights = self.weights() if self.weights else None
        function = partial(self.loss_function, class_weights=class_weights)
        if labelled is None and (weights is None or all_one(weights)):
            return function(raw, target, reduction="sum"), self._count(target, None, weights)
        losses = clean(function(clean(raw, labelled), target), labelled)
        if weights is not None:
            losses = losses * of_elements(weights, losses, labelled)
        return losses.sum(), self._count(target, labelled, weights)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        target = self.counted(target, weights)
        labelled = self.label_kind.present_or_none(target)
        return self._count(self._clean(target, labelled), labelled, weights)

    def decode(self, raw: Tensor) -> Prediction:
        probabilities = at_least_float32(raw).softmax(dim=-1)
        return Prediction(raw.argmax(dim=-1), probabilities)

    def restore(self, target: Tensor) -> Tensor:
        """Return class indices (B,), -100 where missing; soft labels give their largest class."""
        clean, labelled = self._read(target)
        return (clean.argmax(dim=-1) if is_soft(clean) else clean).where(labelled, MISSING)

    def check(self, target: Tensor) -> None:
        """Check the range of labels.

        Raises:
            InputError: If a label is not a class index, soft labels are not shares, or the number
                of classes is not known.
        """
        self.require_outputs()
        if is_soft(target):
            self._check_shares(target)
            return
        found = as_vector(target)
        if found.ndim != 1:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(found.shape)}, expected "
                f"(B,), class indices, or (B, {self.outputs}), shares as floating-point numbers"
            )
        wrong = first_wrong_place(found[self.label_kind.present(found)], self.outputs)
        if wrong is not None:
            raise InputError(
                f"task {self.name!r}: found the label {wrong}, expected a class index "
                f"from 0 to {self.outputs - 1}, or -100 or NaN where missing; give classes= at "
                "least one more than the largest index"
            )

    def learn(self, labels: LabelStatistics) -> None:
        """Learn balanced class weights, and their mean."""
        if self.weights:
            self.weights.learn_from(*labels.weighted_totals_of(self.outputs))

    @property
    def prepared(self) -> bool:
        """Whether the mean class weight is known, if classes are weighted."""
        return self.weights is None or self.weights.has_mean

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return the most frequent class, with the classes' shares as probabilities."""
        counts = labels.weighted_totals_of(self.outputs)[0]
        shares = counts / counts.sum().clamp(min=1)
        return Prediction(counts.argmax().unsqueeze(0), shares.unsqueeze(0))

    @property
    def default_metrics(self) -> tuple[str, ...]:
        """Two classes are scored by their ranking, auroc; more by accuracy."""
        if self.outputs == 2:
            return ("auroc", "accuracy", "macro_f1", "log_loss")
        return ("accuracy", "macro_f1", "auroc", "log_loss")

    def _read(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels, int64 (B,) or shares (B, C), 0 where missing, and which were there."""
        labelled = self.label_kind.present(target)
        return self._clean(target, labelled), labelled

    def _clean(self, target: Tensor, labelled: Tensor | None) -> Tensor:
        if is_soft(target):
            return clean(target, labelled)
        return clean(as_vector(target), labelled).long()

    def _count(self, target: Tensor, labelled: Tensor | None, weights: Tensor | None) -> Tensor:
        own = self.weights if self.loss_name != "focal" else None
        if own is None and weights is None:
            rows = target[:, 0] if is_soft(target) else target
            return size_of(rows) if labelled is None else number_of(labelled)
        return count_of(target, labelled, weights, own, self.row_weights)

    def _check_shares(self, target: Tensor) -> None:
        self._expect_shares(target)
        shares = target[self.label_kind.present(target)].double()
        partly = target.isnan().any(dim=-1) & ~target.isnan().all(dim=-1)
        off = (shares < 0).any(dim=-1) | ((shares.sum(dim=-1) - 1).abs() > 1e-3)
        if bool(off.any()) or bool(partly.any()):
            row = (target[partly] if bool(partly.any()) else shares[off])[0].tolist()
            raise InputError(
                f"task {self.name!r}: found the soft label {row}, expected shares >= 0 that add "
                "up to 1, or NaN throughout where missing"
            )

    def _expect_shares(self, target: Tensor) -> None:
        if target.shape[-1] != self.outputs:
            raise InputError(
                f"task {self.name!r}: the soft labels have the shape {tuple(target.shape)}, "
                f"expected (B, {self.outputs}), one share per class"
            )
