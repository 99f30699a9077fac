"""Pixel regression: one number for every pixel of an image, such as its depth."""

from typing import Annotated, Any, ClassVar, final

from torch import Tensor, nn

from motet.options import (
    Callable,
    Named,
    OnlyWith,
    PositiveFloat,
    PositiveInt,
    Real,
    TaskOptions,
    Unpack,
    checked,
)
from motet.problems import InputError
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind, Likelihood
from motet.tasks.labels import at_least_float32
from motet.tasks.losses.finding import NUMBER_LOSSES, find_number_loss
from motet.tasks.map_heads import MapHead
from motet.tasks.maps import check_size, fitting_map, wide_weights
from motet.tasks.prediction import Kept
from motet.tasks.scaling import Scaling, checked_scaling, refuse_infinite, restored


@final
class PixelRegression(Task):
    """Predict a number for every pixel.

    Targets are numbers (B, H, W), NaN where a pixel has no label. Raw outputs are (B, 1, H, W);
    those of a coarser map are interpolated bilinearly to the labels. The loss is a mean over
    labelled pixels, whatever row they are of, standardised by ``scaling`` as in `Regression`;
    predictions are (B, H, W) in original units, float32.

    Args:
        name: The task's name.
        size: Height and width of labels and predictions. If left out, those of the images in a run
            from a config, else those of the labels in the loss and of the map in predictions.
        loss: Loss to train on, by name; from Python also a function ``(raw, target)`` of the
            labelled pixels, (n,) each, that returns a loss per pixel or their mean.
        delta: Distance at which huber's loss goes over to a straight line, in the unit of the
            target (standardised, if it is); 1 if left out.
        scaling: Mean and standard deviation by which targets were standardised.
        unit: Factor from the numbers in a table or its files to those that are predicted: 0.001
            makes metres of millimetres; 1 if left out. Only in a config; in Python multiply labels.
        missing: A number of labels, before ``unit``, that means "no label" besides NaN, such as 0
            in the files of many depth cameras. Only in a config; in Python write NaN.
        input: Name of the image whose pixels have the labels, where a config has several.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> import torch
        >>> depth = PixelRegression("depth")
        >>> raw = torch.tensor([[[[1.0, 2.0]]]])  # (1, 1, 1, 2)
        >>> depth.loss(raw, torch.tensor([[[4.0, torch.nan]]]))
        (tensor(9.), tensor(1.))
    """

    kind: ClassVar[str] = "pixel_regression"
    labels: ClassVar[LabelKind | str] = "pixel_numbers"
    reads_state: ClassVar[str] = "map"

    @checked
    def __init__(
        self,
        name: str,
        *,
        size: tuple[PositiveInt, PositiveInt] | None = None,
        loss: Annotated[str, Named("loss", ("mse", "mae", "huber", "log_cosh"))]
        | Callable[..., Any] = "mse",
        delta: Annotated[PositiveFloat | None, OnlyWith("loss", ("huber",))] = None,
        scaling: Scaling | None = None,
        unit: PositiveFloat = 1.0,
        missing: Real | None = None,
        input: str | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        _refuse_of_tables(name, unit, missing)
        self.size = size
        self.scaling = checked_scaling(name, scaling)
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_number_loss(loss, delta)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw = at_least_float32(fitting_map(self, raw, target)).squeeze(1)
        target = target.to(raw.dtype)
        if self.loss_name in NUMBER_LOSSES:
            return self.add_up_masked(self.loss_function, raw, target, weights)
        wide = wide_weights(weights, target)  # a user's function sees labelled pixels alone
        return self.add_up(self.loss_function, raw.flatten(), target.flatten(), wide)

    def make_head(self, width: int) -> nn.Module:
        return MapHead(self._bare_head(width), self.size)

    def keep(self, raw: Tensor, target: Tensor) -> Kept:
        return super().keep(fitting_map(self, raw, target), target)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(restored(raw.squeeze(1), self.scaling).float())

    def restore(self, target: Tensor) -> Tensor:
        """Return numbers in original units, float64, (B, ...), NaN where missing."""
        return restored(target, self.scaling)

    def check(self, target: Tensor) -> None:
        """Check that labels are finite, one per pixel.

        Raises:
            InputError: If they have another shape.
            RowError: If one is infinite.
        """
        check_size(self, target, "NaN")
        refuse_infinite(self.name, target)

    @property
    def uncertainty_kind(self) -> Likelihood:
        """Laplace for the absolute error, whose likelihood that is."""
        return "laplace" if self.loss_name == "mae" else "regression"


def _refuse_of_tables(name: str, unit: float, missing: float | None) -> None:
    """Refuse options by which labels of a table become numbers; a run applied them before."""
    given = (
        ("unit", unit, 1.0, "multiply the labels by it"),
        ("missing", missing, None, "write NaN in its place"),
    )
    for option, found, default, instead in given:
        if found != default:
            raise InputError(
                f"found {found:g}, which applies to the labels of a table, as a config reads them; "
                f"with arrays, {instead}",
                option=option,
                owner=f"task {name!r}",
            )
