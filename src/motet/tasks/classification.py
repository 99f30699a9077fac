"""Classification: one of C classes per row. Two classes have two logits like any other number."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

from torch import Tensor, nn

from motet.options import (
    TASK_DEFAULTS,
    Callable,
    Fraction,
    Named,
    NonNegativeFloat,
    OnlyWith,
    PositiveFloat,
    StrictBool,
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
from motet.tasks.base import Prediction, Task
from motet.tasks.heads import is_default_head
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import (
    MISSING,
    as_vector,
    at_least_float32,
    first_wrong_place,
    is_soft,
    named_classes,
)
from motet.tasks.losses.finding import CLASS_LOSSES, find_class_loss
from motet.tasks.product import ProductHead
from motet.tasks.statistics import LabelStatistics
from motet.tasks.weights import ClassWeights, count_of


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
        product: Names of other classifications of two classes; the probability of class 1 is the
            product of theirs, so that the task has no head of its own and trains all of them, see
            `motet.tasks.product`.
        latent: Whether the task has no labels: it is trained as part of a ``product``, or by tasks
            that read it, and is predicted. It needs ``classes``.
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
    tempers: ClassVar[bool] = True
    takes_soft = True

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
        product: Sequence[str] = (),
        latent: StrictBool = False,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs, self.class_names = named_classes(name, classes, least=2)
        self.product, self.latent = tuple(product), latent
        given = {o for o, each in common.items() if each and each != TASK_DEFAULTS[o]}
        given -= {"head"} if is_default_head(self.head) else set()
        if product:
            self._begin_product(given)
        if latent:
            self.balanced = False
            own = {"class_weights": class_weights, "product": product}
            self._refuse_of_labels(given | {option for option, value in own.items() if value})
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_class_loss(loss, label_smoothing, gamma)
        self.weights: ClassWeights | None = None
        if class_weights is not None:
            self.require_outputs()
            self.weights = ClassWeights(class_weights, self.outputs, name)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self._expect(raw, (len(target), self.outputs))
        raw = at_least_float32(raw)
        if weights is not None:
            target = self.counted(target, weights)
        if self.loss_name not in CLASS_LOSSES:
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

    def _begin_product(self, given: set[str]) -> None:
        self.reads_tasks, self.takes_reads_itself = self.product, True
        self.outputs = self.outputs or 2
        owner, wrong = f"task {self.name!r}", {"reads", "head"} & given
        if wrong:
            raise InputError(
                f"found {' and '.join(sorted(wrong))} too, which a product does not have; remove "
                "them",
                option="product",
                owner=owner,
            )
        if len(set(self.product)) < max(2, len(self.product)) or self.outputs != 2:
            raise InputError(
                f"found {', '.join(self.product)} and {self.outputs} classes; expected two or more "
                "tasks that differ, and two classes",
                option="product",
                owner=owner,
            )

    def _refuse_of_labels(self, given: set[str]) -> None:
        self.require_outputs()
        wrong = given & {
            *("column", "row_weight", "rows", "weighted_metrics", "metrics", "class_weights"),
            *("main", "learning_rate", "product", "weight"),
        }
        if wrong:
            raise InputError(
                f"found true, and {', '.join(sorted(wrong))}; a latent task has no labels and no "
                "loss of its own; remove one of them",
                option="latent",
                owner=f"task {self.name!r}",
            )

    def make_head(self, width: int) -> nn.Module:
        return ProductHead() if self.product else super().make_head(width)

    def check_read(self, others: Mapping[str, Task]) -> None:
        for name in self.product:
            other = others[name]
            if not isinstance(other, Classification) or other.outputs != 2:
                raise InputError(
                    f"found {name!r}, a {other.kind} task"
                    f"{f' of {other.outputs} classes' if other.outputs > 1 else ''}; expected "
                    "classifications of two classes",
                    option="product",
                    owner=f"task {self.name!r}",
                )

    def decode(self, raw: Tensor) -> Prediction:
        probabilities = (at_least_float32(raw) / self.calibration_temperature).softmax(dim=-1)
        return Prediction(raw.argmax(dim=-1), probabilities)

    def soft_shape(self, target: Tensor) -> tuple[int, ...]:
        return (self.outputs,)

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
            more = (
                "; give classes= at least one more than the largest index"
                if wrong >= self.outputs and wrong % 1 == 0
                else ""
            )
            raise InputError(
                f"task {self.name!r}: found the label {wrong}, expected a class index "
                f"from 0 to {self.outputs - 1}, or -100 or NaN where missing{more}"
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
