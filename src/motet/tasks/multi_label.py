"""Multi-label: any number of C labels per row, each there or not."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor

from motet.options import (
    Callable,
    Fraction,
    Named,
    OnlyWith,
    PositiveFloat,
    PositiveInt,
    TaskOptions,
    Unpack,
    checked,
)
from motet.problems import InputError
from motet.tasks.additive import clean
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import at_least_float32, named_classes
from motet.tasks.losses.finding import find_loss
from motet.tasks.statistics import LabelStatistics
from motet.tasks.weights import LabelWeights, balanced_labels


@final
class MultiLabel(Task):
    """Predict for each of C labels whether a row has it.

    Targets are 0 or 1, (B, C); -100 or NaN where missing, cell by cell. The count is the number of
    labelled cells.

    Args:
        name: The task's name.
        classes: Number of labels, or their names in the order of the columns. A run from a config
            learns it from ``columns`` if left out.
        columns: Columns that hold the labels, one each: a pattern such as "tag_*", or a list of
            names and patterns.
        separator: What is between labels that are texts, such as ``,``; white space around labels
            is removed. White space itself if left out.
        loss: Loss to train on, by name; from Python also a function ``(raw, target)`` of logits
            (n, C) and labels that returns a loss per cell.
        pos_weight: Weight of the ones of each label, or balanced: zeros / ones in the training
            labels.
        threshold: Probability from which a label is predicted.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> tags = MultiLabel("tags", classes=["red", "round"])
        >>> tags.loss(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, torch.nan]]))
        (tensor(0.1269), tensor(1.))
    """

    kind: ClassVar[str] = "multi_label"
    labels: ClassVar[LabelKind | str] = "indicators"
    tempers: ClassVar[bool] = True
    takes_soft = True

    @checked
    def __init__(
        self,
        name: str,
        *,
        classes: PositiveInt | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        separator: str | None = None,
        loss: Annotated[str, Named("loss", ("binary_cross_entropy",))]
        | Callable[..., Any] = "binary_cross_entropy",
        pos_weight: Annotated[
            Literal["balanced"] | Sequence[PositiveFloat] | None,
            OnlyWith("loss", ("binary_cross_entropy",)),
        ] = None,
        threshold: Fraction = 0.5,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.columns = columns if columns is None or isinstance(columns, str) else tuple(columns)
        named = None  # patterns have no number
        if isinstance(self.columns, tuple) and not any({"*", "?"} & set(c) for c in self.columns):
            named = self.columns
        if classes is None:
            self.outputs, self.class_names = named_classes(name, named, option="columns")
        else:
            self.outputs, self.class_names = named_classes(name, classes)
        self._check_columns(common.get("column"), named, separator)
        self.separator = separator
        self.threshold = threshold
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_loss(loss)
        self.weights: LabelWeights | None = None
        if pos_weight is not None:
            self.require_outputs()
            self.weights = LabelWeights(pos_weight, self.outputs, name, "pos_weight")

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw = at_least_float32(raw)
        self._expect(raw, (len(target), self.outputs))
        target = self._table(target)
        if self.loss_name != "binary_cross_entropy":
            return self.add_up(self.loss_function, raw, target.to(raw.dtype), weights)
        function = self.loss_function
        if self.weights:
            function = partial(function, pos_weight=self.weights())
        return self.add_up_masked(function, raw, target, weights)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        target = self.counted(self._table(target), weights)
        return self.row_weights.count(target, self.label_kind.present(target), weights)

    def decode(self, raw: Tensor) -> Prediction:
        return self._decided((at_least_float32(raw) / self.calibration_temperature).sigmoid())

    def combine(self, members: Sequence[Prediction]) -> Prediction:
        """Return the means of the probabilities, and the labels that they decide."""
        known = [each.probabilities for each in members if each.probabilities is not None]
        return self._decided(torch.stack(known).mean(dim=0))

    def restore(self, target: Tensor) -> Tensor:
        """Return 0, 1, or NaN where missing, as floating-point numbers (B, C)."""
        target, labelled = self._read(target)
        return target.float().where(labelled, torch.nan)

    def check(self, target: Tensor) -> None:
        """Check that labels are 0 or 1.

        Raises:
            InputError: If a label is neither, or there are not C of them per row.
        """
        if self._table(target).shape != (len(target), self.outputs):
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                f"(B, {self.outputs}), one column per label"
            )
        values, labelled = self._read(target)
        wrong = values[labelled & (values != 0) & (values != 1)]
        if len(wrong):
            raise InputError(
                f"task {self.name!r}: found the label {wrong[0].item()}, expected 0 or 1, or -100 "
                "or NaN where missing"
            )

    def learn(self, labels: LabelStatistics) -> None:
        """Learn balanced weights."""
        if self.weights and self.weights.learned:
            self.weights.learn(balanced_labels(*labels.weighted_totals_of(self.outputs)))

    @property
    def prepared(self) -> bool:
        """Whether the weights are known, if they are balanced."""
        return self.weights is None or self.weights.known

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return each label's share of the training labels as its probability; 0 without any."""
        zeros, ones = labels.weighted_totals_of(self.outputs)
        return self._decided((ones / (zeros + ones)).nan_to_num(0.0).unsqueeze(0))

    def _decided(self, probabilities: Tensor) -> Prediction:
        return Prediction((probabilities >= self.threshold).long(), probabilities)

    def _table(self, target: Tensor) -> Tensor:
        return target.unsqueeze(-1) if target.ndim == 1 and self.outputs == 1 else target

    def _read(self, target: Tensor) -> tuple[Tensor, Tensor]:
        target = self._table(target)
        labelled = self.label_kind.present(target)
        return clean(target, labelled), labelled

    def _check_columns(
        self, column: str | None, named: tuple[str, ...] | None, separator: str | None
    ) -> None:
        if separator is not None and self.columns is not None:
            raise InputError(
                "found with columns, which hold one label each; remove one of them",
                option="separator",
                owner=f"task {self.name!r}",
            )
        if column is not None and self.columns is not None:
            raise InputError(
                "found column and columns, expected one of them",
                option="columns",
                owner=f"task {self.name!r}",
            )
        if named is not None and len(named) != self.outputs:
            raise InputError(
                f"found {self.outputs} entries for {len(named)} columns, expected one class per "
                "column; remove classes to name them like the columns",
                option="classes",
                owner=f"task {self.name!r}",
            )
