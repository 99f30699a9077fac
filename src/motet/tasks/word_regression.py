"""Word regression: one number for every word, such as its reading time or emphasis."""

from typing import Annotated, Any, ClassVar, final

from torch import Tensor

from motet.options import (
    Callable,
    Named,
    OnlyWith,
    PositiveFloat,
    TaskOptions,
    Unpack,
    checked,
)
from motet.problems import InputError
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind, Likelihood
from motet.tasks.labels import at_least_float32
from motet.tasks.losses.finding import NUMBER_LOSSES, find_number_loss
from motet.tasks.scaling import Scaling, checked_scaling, refuse_infinite, restored
from motet.tasks.words import check_labelled_words, fitting_words


@final
class WordRegression(Task):
    """Predict a number for every word.

    Targets are numbers (B, L), NaN where a word has no label or there is no word. Raw outputs are
    (B, L, 1), NaN where there is no word. The loss is a mean over labels, standardised by
    ``scaling`` as in `Regression`; predictions are (B, L) in original units, float64, NaN where
    there is no word.

    Args:
        name: The task's name.
        loss: Loss to train on, by name; from Python also a function ``(raw, target)`` of words that
            returns a loss per word or their mean.
        delta: Distance at which huber's loss goes over to a straight line, in the unit of the
            target (standardised, if it is); 1 if left out.
        input: Name of the text whose words have the numbers, where a model has several.
        scaling: Mean and standard deviation by which targets were standardised.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> import torch
        >>> stress = WordRegression("stress")
        >>> raw = torch.tensor([[[0.0], [2.0]], [[1.0], [torch.nan]]])
        >>> stress.loss(raw, torch.tensor([[1.0, torch.nan], [3.0, torch.nan]]))
        (tensor(5.), tensor(2.))
    """

    kind: ClassVar[str] = "word_regression"
    labels: ClassVar[LabelKind | str] = "word_numbers"
    reads_state: ClassVar[str] = "tokens"

    @checked
    def __init__(
        self,
        name: str,
        *,
        loss: Annotated[str, Named("loss", ("mse", "mae", "huber", "log_cosh"))]
        | Callable[..., Any] = "mse",
        delta: Annotated[PositiveFloat | None, OnlyWith("loss", ("huber",))] = None,
        input: str | None = None,
        scaling: Scaling | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.scaling, self.text = checked_scaling(name, scaling), input
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_number_loss(loss, delta)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        target = fitting_words(self, raw, target)
        raw = at_least_float32(raw).squeeze(2)
        target = target.to(raw.dtype)
        if self.loss_name not in NUMBER_LOSSES:
            # a user's function sees labelled words alone: outputs of padding are NaN
            wide = None if weights is None else weights.repeat_interleave(raw.shape[1])
            return self.add_up(self.loss_function, raw.flatten(), target.flatten(), wide)
        return self.add_up_masked(self.loss_function, raw, target, weights)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(restored(raw.squeeze(2), self.scaling))

    def restore(self, target: Tensor) -> Tensor:
        """Return numbers in original units, float64, (B, L), NaN where missing."""
        return restored(target, self.scaling)

    def check(self, target: Tensor) -> None:
        """Check that labels are finite, one per word.

        Raises:
            InputError: If they have another shape.
            RowError: If one is infinite.
        """
        if target.ndim != 2:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                "(B, L), one number per word, NaN after the last"
            )
        refuse_infinite(self.name, target)

    def check_words(self, words: Tensor, target: Tensor) -> None:
        """Check that only words have labels.

        Raises:
            RowError: If there is another label.
        """
        check_labelled_words(self, words, target, "NaN")

    @property
    def uncertainty_kind(self) -> Likelihood:
        """Laplace for the absolute error, whose likelihood that is."""
        return "laplace" if self.loss_name == "mae" else "regression"
