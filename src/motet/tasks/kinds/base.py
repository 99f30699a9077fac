"""What a kind of label is: which labels are missing, and what follows from that.

A label column becomes a target in one of these forms, named by ``Task.labels``:

==============  =======================================  ======================================
``"class"``     whole numbers (B,), or class shares      missing: -100 or NaN; a row of shares is
                (B, C), "soft labels"                    missing if any of its numbers is NaN
``"ordinal"``   whole numbers (B,): classes in order     missing: -100 or NaN
``"indicators"``  0 or 1, (B, C)                         missing: -100 or NaN, cell by cell
``"tags"``      whole numbers (B, L), one per word       missing: -100 or NaN, word by word, and
                                                         after the last word of a row
``"count"``     whole numbers from 0, (B,)               missing: NaN
``"quantile"``  numbers (B,)                             missing: NaN
``"text"``      tokens (B, L), 0 the end of a text       missing: a row of -100 or NaN alone
``"interval"``  (B, 2), low and high; equal where exact  missing: NaN
``"word_numbers"``  (B, L), one number per word         missing: NaN, word by word, and after the
                                                         last word of a row
``"pixel_classes"``  whole numbers (B, H, W)              missing: -100 or NaN, pixel by pixel
``"pixel_numbers"``  numbers (B, H, W)                    missing: NaN, pixel by pixel
``"number"``    (B,), or (B, K) for several outputs      missing: NaN, number by number
==============  =======================================  ======================================

-100 is a number like any other for ``"number"``: it may be a temperature.

A further kind is a subclass of `LabelKind` with a name and whatever differs from whole numbers of
which -100 is missing; a task has an instance of it as its ``labels``. How columns become such
targets is registered under the same name:
``motet.register("label", name, target)``, see `motet.data.targets.base`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from motet.states import MISSING
from motet.tasks.kinds.ranges import Ranges
from motet.tasks.moments import Moments
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics, Sample, WeightSums

Likelihood = Literal["classification", "regression", "laplace", "likelihood"]


class LabelKind:
    """A kind of label; by default one of which -100 and NaN mean that it is missing.

    Instances have no state. `Task` has methods of the same names, which single tasks may refine.
    """

    name: ClassVar[str]
    """Under which its target is registered, and by which metrics name the kinds they suit."""
    given: ClassVar[bool] = True
    """Whether labels come with the data; otherwise the task makes its targets from the inputs."""
    default_metrics: ClassVar[tuple[str | Callable[..., Any], ...]] = ()
    """Metrics to report if none were asked for, names or functions; the first is the one that
    scores."""
    uncertainty_kind: ClassVar[Likelihood] = "classification"
    """The likelihood that uncertainty weighting should assume."""
    flat: ClassVar[bool] = False
    """Whether a single output per row has no axis of its own: (B,) rather than (B, 1)."""

    def present(self, target: Tensor) -> Tensor:
        """Return which labels are there.

        Args:
            target: Labels (B, ...).

        Returns:
            Mask (B,) where a row has one label, else with further axes.
        """
        return not_missing(target)

    def present_or_none(self, target: Tensor) -> Tensor | None:
        """Return which labels are there; None where it is cheap to see that all are.

        On a CPU one reduction shows that most often; a GPU would have to wait for it.
        """
        cheap = target.device.type == "cpu" and target.numel()
        if cheap and (not target.dtype.is_signed or target.min().item() >= 0):  # nor is NaN
            return None
        return self.present(target)

    def labelled(self, target: Tensor) -> Tensor:
        """Return which rows have at least one label, (B,)."""
        found = self.present(target)
        while found.ndim > 1:
            found = found.any(dim=-1)
        return found

    def missing(self, rows: int, device: torch.device) -> Tensor | None:
        """Return labels of rows that have none, for heads that take labels; None if unknown."""
        return None

    def restore(self, target: Tensor) -> Tensor:
        """Return labels in original units, which is what metrics compare predictions with."""
        return target

    def squeezed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Drop last axes of size 1 that raw outputs or labels of this kind do not have."""
        return raw, target

    def aligned(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Bring predictions and labels of the same rows into the same shape."""
        return value, target

    def aligned_weights(self, weights: Tensor, target: Tensor) -> Tensor:
        """Return how much each row of `aligned` labels counts, from that of each row (B,)."""
        return weights

    def is_broken(self, prediction: Prediction, target: Tensor) -> bool:
        """Return whether a prediction of a labelled row is NaN."""
        return any(each is not None and bool(each.isnan().any()) for each in prediction)

    def row_scores(self, value: Tensor, target: Tensor) -> Tensor | None:
        """Return how well each row is predicted, to compare tasks by; None if the kind has none.

        Args:
            value: Predictions (B, ...).
            target: Labels in original units, (B, ...).

        Returns:
            The share of right elements of each row, or of numbers their mean residual, (B,)
            float64; NaN without a label.
        """
        value, target = self.aligned(value, target)
        if value.shape != target.shape:
            return None
        return mean_of_rows((value == target).double(), not_missing(target))

    def repeated(self, prediction: Prediction, target: Tensor) -> Prediction:
        """Return the prediction of one row for every row of labels (B, ...)."""
        rows, device = len(target), target.device
        return prediction.map(lambda each: each.to(device).expand(rows, *each.shape[1:]))

    def without(self, target: Tensor, rows: Tensor) -> Tensor:
        """Return labels of which only those of some rows are there.

        Args:
            target: Labels (B, ...).
            rows: Mask (B,) of the rows whose labels stay.
        """
        floating = target.is_floating_point()
        missing = torch.nan if floating else MISSING
        target = target if floating else target.long()  # as uint8, -100 would be 156
        return target.where(rows.view(-1, *[1] * (target.ndim - 1)), missing)

    def statistics(self, target: Tensor, weights: Tensor | None = None) -> LabelStatistics:
        """Return what is learned from labels; those of batches are merged.

        Args:
            target: Labels (B, ...).
            weights: How much each row counts, (B,), 0 as if it had no label; every row alike if
                left out.
        """
        if weights is not None:
            target = self.without(target, weights > 0)
        labelled = self.labelled(target)
        known = target if bool(labelled.all()) else target[labelled]
        sample = Sample(len(known), (self.sampled(known),))
        elements = int(self.present(known).sum())
        found = LabelStatistics(
            len(target), sample, self.totals(known), self.moments(known), elements
        )
        return found if weights is None else self._weighted(found, known, weights[labelled])

    def sampled(self, target: Tensor) -> Tensor:
        """Return what a sample of labels holds of rows (B, ...): all labels, unless they are many.

        Returns:
            Labels (B, ...) in a form that `present` and `restore` take.
        """
        return target

    def _weighted(self, found: LabelStatistics, known: Tensor, weights: Tensor) -> LabelStatistics:
        weights = weights.double()
        present = self.present(known)
        elements = present.flatten(1).sum(dim=1) if present.ndim > 1 else None
        return replace(
            found,
            sample=replace(found.sample, weighted=(weights,)),
            weights=WeightSums.of(weights, elements),
            weighted_totals=self.weighted_totals(known, weights),
        )

    def weighted_totals(self, target: Tensor, weights: Tensor) -> Tensor | None:
        """Return sums as those of `totals`, of the weights of rows (N,) float64.

        None if the kind has no such sums, where those without weights serve.
        """
        return None

    def totals(self, target: Tensor) -> Tensor | None:
        """Return sums over labelled rows (N, ...) by class, (k, C) float64, if there are some."""
        return None

    def moments(self, target: Tensor) -> Moments | None:
        """Return the moments of labelled rows (N, ...), if they are numbers."""
        return None

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction | None:
        """Return the best constant prediction, of one row; None if the kind has none.

        Args:
            labels: Statistics of the training labels.
            metric: The metric that will score it.
            restore: Converts labels to original units.
        """
        return None

    def unit_note(self, labels: LabelStatistics) -> str:
        """Describe labels in a unit that makes their loss drown others; empty if they are not."""
        return ""

    def ranges(self, value: Tensor, target: Tensor) -> Ranges | None:
        """Return the ranges of predictions and labels; None where `constant` finds nothing."""
        return None

    def constant(self, ranges: Ranges, names: Sequence[str] | None) -> str:
        """Name a prediction that is the same in every row although labels differ; else empty."""
        return ""


def mean_of_rows(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean of the known elements of each row (B, ...), (B,); NaN where there is none."""
    values, known = values.reshape(len(values), -1), known.reshape(len(values), -1)
    return values.where(known, 0).sum(dim=1) / known.sum(dim=1)


def not_missing(target: Tensor) -> Tensor:
    """Return which labels are neither -100 nor NaN."""
    if not target.dtype.is_signed:  # as uint8, -100 would be 156
        return torch.ones_like(target, dtype=torch.bool)
    if target.is_floating_point():
        return ~target.isnan() & (target != MISSING)
    return target != MISSING
