"""Quantile regression: several quantiles of a number at once, which never cross."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import softplus

from motet.options import InnerShare, TaskOptions, Unpack, checked
from motet.problems import InputError
from motet.quantile_levels import middle, spelt
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind
from motet.tasks.kinds.numbers import weighted_quantiles
from motet.tasks.labels import as_vector, at_least_float32
from motet.tasks.losses.elements import pinball
from motet.tasks.scaling import Scaling, checked_scaling, refuse_infinite, restored
from motet.tasks.statistics import LabelStatistics


@final
class Quantile(Task):
    """Predict quantiles of a number.

    Targets are numbers (B,), NaN where missing, standardised by ``scaling`` as in `Regression`.
    Raw outputs are (B, K): the lowest quantile, and before softplus the distance from each to the
    next. The loss of a row is the mean of the pinball losses of its quantiles. Predictions are all
    quantiles (B, K) in original units, float64; mae is that of the median.

    Args:
        name: The task's name.
        quantiles: Which quantiles, in increasing order.
        scaling: Mean and standard deviation by which targets were standardised.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> price = Quantile("price", quantiles=[0.9])
        >>> price.loss(torch.zeros(2, 1), torch.tensor([1.0, -1.0]))
        (tensor(1.), tensor(2.))
    """

    kind: ClassVar[str] = "quantile"
    labels: ClassVar[LabelKind | str] = "quantile"

    @checked
    def __init__(
        self,
        name: str,
        *,
        quantiles: Sequence[InnerShare] = (0.1, 0.5, 0.9),
        scaling: Scaling | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.levels = tuple(float(level) for level in quantiles)
        if not self.levels or sorted(set(self.levels)) != list(self.levels):
            raise InputError(
                f"found {list(self.levels)}, expected at least one number between 0 and 1, in "
                "increasing order",
                option="quantiles",
                owner=f"task {name!r}",
            )
        self.outputs = len(self.levels)
        self.class_names = tuple(map(spelt, self.levels))
        self.scaling = checked_scaling(name, scaling)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw, target = at_least_float32(raw), as_vector(target)
        self._expect(raw, (len(target), self.outputs))
        function = partial(_loss, quantiles=self.levels)
        return self.add_up_masked(function, raw, target.to(raw.dtype), weights)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(restored(in_order(raw), self.scaling))

    def restore(self, target: Tensor) -> Tensor:
        """Return numbers in original units, float64, shape (B,)."""
        return restored(as_vector(target), self.scaling)

    def check(self, target: Tensor) -> None:
        """Check that labels are finite, one per row.

        Raises:
            InputError: If there are several per row.
            RowError: If one is infinite.
        """
        found = as_vector(target)
        if found.ndim != 1:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                "(B,), one number per row"
            )
        refuse_infinite(self.name, found)

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return the quantiles of the training labels; of a sample if there are many."""
        known = self.restore(labels.sample.rows)
        if labels.weights is not None:
            found = weighted_quantiles(known, labels.sample.weights, self.levels)
            return Prediction(found.unsqueeze(0))
        return Prediction(known.quantile(known.new_tensor(self.levels)).unsqueeze(0))

    @property
    def default_metrics(self) -> tuple[str, ...]:
        """The pinball loss first; mae where the median is among the quantiles."""
        coverage = ("coverage",) if len(self.levels) > 1 else ()
        mae = ("mae",) if self.levels[middle(self.levels)] == 0.5 else ()
        return ("pinball", *coverage, *mae)


def in_order(raw: Tensor) -> Tensor:
    """Return increasing quantiles (B, K): the first raw output, and softplus of the others."""
    return torch.cat([raw[:, :1], softplus(raw[:, 1:])], dim=1).cumsum(dim=1)


def _loss(raw: Tensor, target: Tensor, **options: object) -> Tensor:
    return pinball(in_order(raw), target, **options)  # type: ignore[arg-type]  # of `pinball`
