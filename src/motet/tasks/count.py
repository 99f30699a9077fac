"""Counts: whole numbers from 0, such as visits or claims."""

from functools import partial
from typing import Annotated, Any, ClassVar, final

import torch
from torch import Tensor, nn

from motet.options import Callable, Named, TaskOptions, Unpack, checked
from motet.problems import InputError, RowError
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind, Likelihood
from motet.tasks.labels import as_vector, at_least_float32
from motet.tasks.learned_scale import LearnedScale
from motet.tasks.losses.finding import find_loss
from motet.tasks.statistics import LabelStatistics
from motet.wide_state import WideState

BUILT_IN = ("poisson", "negative_binomial")


@final
class Count(Task):
    """Predict how often something happens: the expected count, by a log link.

    Targets are whole numbers from 0, (B,), NaN where missing. The raw output is the logarithm of
    the expected count, relative to the mean of the training labels once `prepare` has seen them.
    The loss is a negative log-likelihood without log y!, which may be negative.

    Args:
        name: The task's name.
        loss: poisson, whose variance is the mean; or negative_binomial, which learns how much
            larger it is. From Python also a function ``(raw, target)`` of the logarithm and counts
            that returns a loss per row or their mean.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> visits = Count("visits")
        >>> visits.loss(torch.zeros(2), torch.tensor([2.0, torch.nan]))
        (tensor(1.), tensor(1.))
        >>> visits.decode(torch.zeros(1)).value
        tensor([1.], dtype=torch.float64)
    """

    kind: ClassVar[str] = "count"
    labels: ClassVar[LabelKind | str] = "count"
    takes_soft = True

    @checked
    def __init__(
        self,
        name: str,
        *,
        loss: Annotated[str, Named("loss", ("poisson", "negative_binomial"))]
        | Callable[..., Any] = "poisson",
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_loss(loss)
        self.mean = MeanCount()
        self.size = LearnedScale(-7.0, 14.0) if loss == "negative_binomial" else None

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw, target = at_least_float32(as_vector(raw)), as_vector(target)
        self._expect(raw, (len(target),))
        raw, target = self.mean(raw), target.to(raw.dtype)
        if self.loss_name not in BUILT_IN:
            return self.add_up(self.loss_function, raw, target, weights)
        function = self.loss_function
        if self.size is not None:
            function = partial(function, log_size=self.size())
        return self.add_up_masked(function, raw, target, weights)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(self.mean(as_vector(raw).double()).exp())

    def check(self, target: Tensor) -> None:
        """Check that labels are counts.

        Raises:
            InputError: If there are several per row.
            RowError: If one is not a whole number from 0.
        """
        found = as_vector(target)
        if found.ndim != 1:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                "(B,), one count per row"
            )
        known = self.label_kind.present(found)
        wrong = known & ~((found >= 0) & (found == found.floor()) & ~found.isinf())
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise RowError(
                f"task {self.name!r}: found {found[row].item():g} in",
                row,
                ", expected counts, whole numbers from 0, or NaN where missing",
            )

    def learn(self, labels: LabelStatistics) -> None:
        """Learn the mean of the training labels, once."""
        if labels.moments is not None:
            self.mean.learn(labels.moments.means)

    @property
    def prepared(self) -> bool:
        """Whether the mean of the training labels is known."""
        return bool(self.mean.known)

    @property
    def uncertainty_kind(self) -> Likelihood:
        """A likelihood, unless the loss is a user's function."""
        return "likelihood" if self.loss_name in BUILT_IN else "classification"


@final
class MeanCount(WideState):
    """The mean of the training labels, which raw outputs are relative to; 1 while it is unknown."""

    log: Tensor
    known: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Buffer(torch.zeros(()))
        self.known = nn.Buffer(torch.tensor(False))

    def learn(self, mean: Tensor) -> None:
        """Learn the mean, (1,), unless it is known: outputs were trained relative to that."""
        if not bool(self.known) and bool(mean > 0):
            self.log.copy_(mean.squeeze().log())
            self.known.fill_(True)

    def forward(self, raw: Tensor) -> Tensor:
        """Return logarithms of expected counts for raw outputs, same shape."""
        return raw + self.log.to(raw.dtype)
