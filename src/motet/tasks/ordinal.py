"""Ordinal classification: one of C classes that have an order."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor

from motet.options import TaskOptions, TwoOrMore, Unpack, checked
from motet.problems import InputError
from motet.states import MISSING
from motet.tasks.base import Prediction, Task
from motet.tasks.cutpoints import Cutpoints, class_log_probabilities, cumulative_link
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import as_vector, at_least_float32, first_wrong_place, named_classes
from motet.tasks.statistics import LabelStatistics


@final
class Ordinal(Task):
    """Predict one of C ordered classes, such as ratings.

    The head gives one number z per row, and the task learns C - 1 thresholds between the classes;
    the loss is the negative log-likelihood of the class, see
    `motet.tasks.cutpoints.class_log_probabilities`. Predicted is the median: the first class at
    which the cumulative probability reaches one half.

    Args:
        name: The task's name.
        classes: The classes from the lowest to the highest, or how many there are. A run from a
            config learns those that are numbers from the training labels; the order of others
            must be given.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> import torch
        >>> stars = Ordinal("stars", classes=3)
        >>> stars.decode(torch.tensor([-9.0, 0.0, 9.0])).value
        tensor([0, 1, 2])
    """

    kind: ClassVar[str] = "ordinal"
    labels: ClassVar[LabelKind | str] = "ordinal"
    tempers: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        name: str,
        *,
        classes: TwoOrMore | Sequence[str] | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.classes, self.class_names = named_classes(name, classes, least=2)
        self.outputs = 1 if self.classes else 0
        self.cutpoints = Cutpoints(self.classes) if self.classes else None

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw = at_least_float32(as_vector(raw))
        self._expect(raw, (len(target),))
        function = partial(cumulative_link, thresholds=self._cutpoints())
        return self.add_up_masked(function, raw, as_vector(target), weights)

    def decode(self, raw: Tensor) -> Prediction:
        raw = at_least_float32(as_vector(raw))
        thresholds = self._cutpoints().to(raw.dtype)
        value = (thresholds < raw.unsqueeze(1)).sum(dim=1)
        sharpness = 1 / self.calibration_temperature
        logs = class_log_probabilities(raw * sharpness, thresholds * sharpness)
        return Prediction(value, logs.exp())

    def combine(self, members: Sequence[Prediction]) -> Prediction:
        """Return the means of the probabilities, and their median class."""
        known = [each.probabilities for each in members if each.probabilities is not None]
        mean = torch.stack(known).mean(dim=0)
        reached = mean.cumsum(dim=1)[:, :-1]  # all of it is 1, but for rounding
        return Prediction((reached < 0.5).sum(dim=1), mean)

    def restore(self, target: Tensor) -> Tensor:
        """Return places of classes (B,), -100 where missing, int64."""
        labels = as_vector(target)
        return labels.where(self.label_kind.present(target), MISSING).long()

    def check(self, target: Tensor) -> None:
        """Check the range of labels.

        Raises:
            InputError: If a label is not the place of a class, or the classes are not known.
        """
        self.require_outputs()
        if as_vector(target).ndim != 1:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                "(B,), places of classes"
            )
        labels = as_vector(target)[self.label_kind.present(target)]
        wrong = first_wrong_place(labels, self.classes)
        if wrong is not None:
            raise InputError(
                f"task {self.name!r}: found the label {wrong}, expected the place of a class, from "
                f"0 to {self.classes - 1}, or -100 or NaN where missing"
            )

    def learn(self, labels: LabelStatistics) -> None:
        """Place the thresholds by the shares of the training labels, once."""
        if self.cutpoints is not None and labels.labelled:
            self.cutpoints.place(labels.totals_of(self.classes)[0])

    @property
    def prepared(self) -> bool:
        """Whether the thresholds were placed."""
        return self.cutpoints is None or bool(self.cutpoints.known)

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return the median class, with the classes' shares as probabilities."""
        counts = labels.weighted_totals_of(self.classes)[0]
        shares = counts / counts.sum()
        median = (shares.cumsum(dim=0) < 0.5).sum()
        return Prediction(median.unsqueeze(0), shares.unsqueeze(0))

    def _cutpoints(self) -> Tensor:
        assert self.cutpoints is not None  # the classes are known
        thresholds: Tensor = self.cutpoints()
        return thresholds
