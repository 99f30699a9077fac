"""Regression: one number per row, or several."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, final

from torch import Tensor

from motet.options import (
    Callable,
    Named,
    OnlyWith,
    PositiveFloat,
    PositiveInt,
    TaskOptions,
    Unpack,
    checked,
)
from motet.problems import InputError
from motet.tasks.additive import sum_masked
from motet.tasks.base import Prediction, Task
from motet.tasks.censoring import Censoring, check_intervals, numbers_of
from motet.tasks.kinds import LabelKind, Likelihood, label_kind
from motet.tasks.labels import as_vector, at_least_float32
from motet.tasks.losses.finding import NUMBER_LOSSES, find_number_loss
from motet.tasks.scaling import (
    LogScale,
    Scaling,
    checked_log_scale,
    checked_scaling,
    refuse_infinite,
    restored,
)


@final
class Regression(Task):
    """Predict a number, or several.

    Targets are numbers (B,), or (B, outputs), NaN where missing, one by one; the count is the
    number of labels. A bare `Regression` never scales: raw output, target and prediction have one
    unit. ``scaling`` is what the targets were standardised by before. The loss
    then works on standardised numbers; predictions and metrics are in original units, float64.

    Args:
        name: The task's name.
        loss: Loss to train on, by name; from Python also a function ``(raw, target)`` that returns
            a loss per number or their mean.
        delta: Distance at which huber's loss goes over to a straight line, in the unit of the
            target (standardised, if it is); 1 if left out.
        censored: auto reads bounds such as >1000 and <=10 among the labels. Targets are then
            intervals (B, 2), low and high, equal where a number is exact; the loss is the
            likelihood that mse (Gaussian) or mae (Laplace) stands for, with a learned scale;
            metrics are of the exact labels.
        outputs: Numbers to predict per row; 1 if left out. A run from a config learns it from the
            labels if left out.
        scaling: Mean and standard deviation by which targets were standardised, one number each,
            or one per output.
        transform: log: the task is trained on ``sign(y) log(1 + |y| / scale)`` of its labels y, for
            amounts over decades, whose errors then count by their ratio; the scale is learned: a
            tenth of the labels other than 0 are smaller in size. Predictions and metrics are in
            original units; a prediction is then nearer to the median than to the mean. auto: where
            nine tenths of the sizes span a factor of 100 and the labels are skewed, which a note
            reports.
        log_scale: The scale by which targets were transformed, before ``scaling``.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> import torch
        >>> area = Regression("area", loss="huber", delta=1.0)
        >>> area.loss(torch.tensor([3.0, 0.0]), torch.tensor([0.0, torch.nan]))
        (tensor(2.5000), tensor(1.))
        >>> Regression("area", scaling=(100.0, 20.0)).decode(torch.tensor([1.5])).value
        tensor([130.], dtype=torch.float64)
    """

    kind: ClassVar[str] = "regression"
    labels: ClassVar[LabelKind | str] = "number"
    takes_soft = True

    @checked
    def __init__(
        self,
        name: str,
        *,
        loss: Annotated[str, Named("loss", ("mse", "mae", "huber", "log_cosh"))]
        | Callable[..., Any] = "mse",
        delta: Annotated[PositiveFloat | None, OnlyWith("loss", ("huber",))] = None,
        censored: Annotated[Literal["auto"] | None, OnlyWith("loss", ("mse", "mae"))] = None,
        outputs: PositiveInt | None = None,
        scaling: Scaling | None = None,
        transform: Literal["none", "log", "auto"] = "none",
        log_scale: LogScale | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs = outputs or 1
        self.scaling = checked_scaling(name, scaling, self.outputs)
        self.log_scale = checked_log_scale(name, transform, log_scale, self.outputs)
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_number_loss(loss, delta)
        self.censoring: Censoring | None = None
        if censored:
            self._require_one_output()
            if transform != "none":
                raise InputError(
                    f"found {transform}, not supported with censored: auto; transform the column "
                    "and its bounds in the data",
                    option="transform",
                    owner=f"task {name!r}",
                )
            self.censoring = Censoring("mae" if loss == "mae" else "mse")
            self.label_kind, self.takes_soft = label_kind("interval"), False

    @classmethod
    def label_kind_of(cls, options: Mapping[str, Any]) -> LabelKind:
        return label_kind("interval") if options.get("censored") else cls.label_kind

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if self.censoring is not None:
            raw = at_least_float32(as_vector(raw))
            self._expect(raw, (len(target),))
            return self.add_up_masked(self.censoring, raw, target.to(raw.dtype), weights)
        raw, target = at_least_float32(as_vector(raw)), as_vector(target)
        self._expect(raw, self._shape(target))
        target = target.to(raw.dtype)
        if self.loss_name not in NUMBER_LOSSES:
            return self.add_up(self.loss_function, raw, target, weights)
        if weights is None:  # as usual, which then costs no further call
            labelled = self.label_kind.present_or_none(target)
            return sum_masked(self.loss_function, raw, target, labelled)
        return self.add_up_masked(self.loss_function, raw, target, weights)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(restored(as_vector(raw), self.scaling, self.log_scale))

    def restore(self, target: Tensor) -> Tensor:
        """Return numbers in original units, float64, (B,) or (B, outputs); NaN for bounds."""
        numbers = as_vector(target) if self.censoring is None else numbers_of(target)
        return restored(numbers, self.scaling, self.log_scale)

    def judged(self, target: Tensor) -> Tensor:
        """Return which rows have a number, (B,): a bound is a label, but has no error."""
        return self.label_kind.labelled(self.restore(target))

    def check(self, target: Tensor) -> None:
        """Check that labels are finite and have one column per output.

        Raises:
            InputError: If there are not ``outputs`` of them per row.
            RowError: If one is infinite.
        """
        if self.censoring is not None:
            check_intervals(self.name, target)
            return
        found = as_vector(target)
        if found.shape != self._shape(found):
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                f"{self._shape(found)}; give outputs= the number of labels per row"
            )
        refuse_infinite(self.name, found)

    @property
    def uncertainty_kind(self) -> Likelihood:
        """Laplace for the absolute error, whose likelihood that is."""
        if self.censoring is not None:
            return self.label_kind.uncertainty_kind
        return "laplace" if self.loss_name == "mae" else "regression"

    def _require_one_output(self) -> None:
        if self.outputs > 1:
            raise InputError(
                f"found {self.outputs}, expected one number per row with censored: auto",
                option="outputs",
                owner=f"task {self.name!r}",
            )

    def _shape(self, target: Tensor) -> tuple[int, ...]:
        return (len(target),) if self.outputs == 1 else (len(target), self.outputs)
