"""The built-in metrics: over a whole split at once, never averages over batches.

A metric that has no meaning on a split (one class only, a constant target, no labels) is NaN with
a reason, rather than a number that looks like a result. Classes and labels are scored one against
the rest and averaged with equal weight ("macro"), outputs of a regression likewise; those that
cannot be scored are left out and named.

torchmetrics takes seconds to import, so it is imported when a metric of it is computed.
"""

from collections.abc import Callable, Iterator
from math import nan

import torch
from torch import Tensor

from motet.tasks.metric import Score, Split, metric

# Classes and labels --------------------------------------------------------------------------


@metric("class", "indicators")
def accuracy(split: Split) -> Score:
    """Return the share of right classes; for multi_label, of right cells."""
    known = ~split.target.isnan()
    return Score(float((split.value == split.target)[known].double().mean()))


@metric("class", "indicators")
def macro_f1(split: Split) -> Score:
    """Return the mean over classes that occur or are predicted of 2 TP / (actual + predicted)."""
    value, target = split.value, split.target
    if target.ndim == 1:
        size = int(torch.maximum(value, target).max()) + 1
        hits, found, true = (
            torch.bincount(classes, minlength=size)
            for classes in (target[value == target], value, target)
        )
    else:
        predicted, positive = (value == 1) & ~target.isnan(), target == 1
        hits, found, true = (
            part.sum(dim=0) for part in (predicted & positive, predicted, positive)
        )
    seen = found + true > 0
    if not bool(seen.any()):
        return Score(nan, "no label occurs or is predicted")
    return Score(float((2 * hits / (found + true).double())[seen].mean()))


@metric("class", "indicators", ranks=True)
def auroc(split: Split) -> Score:
    """Return how probably a positive row is ranked above a negative one; macro.

    With two classes, class 1 is the positive one.
    """
    from torchmetrics.functional.classification import binary_auroc

    def area(scores: Tensor, positive: Tensor) -> float | None:
        if bool(positive.all()) or not bool(positive.any()):
            return None
        return float(binary_auroc(scores, positive.long(), validate_args=False))

    return _macro(area, _rankings(split), "has no positive or no negative row")


@metric("class", "indicators", ranks=True)
def average_precision(split: Split) -> Score:
    """Return the mean precision over the recalls of a ranking; macro.

    With two classes, class 1 is the positive one.
    """
    from torchmetrics.functional.classification import binary_average_precision

    def area(scores: Tensor, positive: Tensor) -> float | None:
        if not bool(positive.any()):
            return None
        return float(binary_average_precision(scores, positive.long(), validate_args=False))

    return _macro(area, _rankings(split), "has no positive row")


@metric("class", "indicators", best=0.0, ranks=True)
def log_loss(split: Split) -> Score:
    """Return the mean -log of the probability of what is true, where 0 counts as rounding to 0."""
    p = _probabilities(split)
    if split.target.ndim == 1:
        true = p.gather(1, split.target.unsqueeze(1))
    else:
        known = ~split.target.isnan()
        true = torch.where(split.target == 1, p, 1 - p)[known]
    return Score(float(-true.double().clamp(min=torch.finfo(p.dtype).eps).log().mean()))


Columns = Iterator[tuple[str, Tensor, Tensor]]


def _rankings(split: Split) -> Columns:
    # Name, scores and truth of each class or label; of two classes the second says it all.
    scores = _probabilities(split)
    if split.target.ndim == 1:
        classes = range(scores.shape[1])
        for index in classes if len(classes) != 2 else (1,):
            yield split.name(index), scores[:, index], split.target == index
    else:
        for index, known in enumerate(~split.target.isnan().T):
            yield split.name(index), scores[known, index], split.target[known, index] == 1


def _macro(
    score: Callable[[Tensor, Tensor], float | None], columns: Columns, otherwise: str
) -> Score:
    # Average over the columns that have a score, and name those that have none.
    scores = {name: score(found, truth) for name, found, truth in columns}
    usable = [each for each in scores.values() if each is not None]
    missing = [name for name, each in scores.items() if each is None]
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    if not usable:
        return Score(nan, f"undefined, as each of these {otherwise}: {names}")
    note = f"without these, as each {otherwise}: {names}" if missing else ""
    return Score(sum(usable) / len(usable), note)


def _probabilities(split: Split) -> Tensor:
    assert split.probabilities is not None  # `Metric.ranks` saw to it
    return split.probabilities


# Numbers -------------------------------------------------------------------------------------


@metric("number", best=0.0)
def mae(split: Split) -> Score:
    """Return the mean absolute error, averaged over outputs."""
    return _over_outputs(lambda found, truth: float((found - truth).abs().mean()), split)


@metric("number", best=0.0)
def rmse(split: Split) -> Score:
    """Return the root of the mean squared error, averaged over outputs."""
    return _over_outputs(lambda found, truth: float((found - truth).square().mean().sqrt()), split)


@metric("number")
def r2(split: Split) -> Score:
    """Return 1 - squared error / squared error of the split's own mean, averaged over outputs.

    Not clamped: worse than the mean is below 0. A constant target has none.
    """

    def explained(found: Tensor, truth: Tensor) -> float | None:
        if bool((truth == truth[0]).all()):
            return None
        spread = (truth - truth.mean()).square().sum()
        return float(1 - (found - truth).square().sum() / spread)

    return _over_outputs(explained, split)


def _over_outputs(score: Callable[[Tensor, Tensor], float | None], split: Split) -> Score:
    return _macro(
        lambda found, truth: score(found, truth) if len(truth) else None,
        _outputs(split),
        "has a constant target or no label",
    )


def _outputs(split: Split) -> Columns:
    # Name, predictions and truth of each output, float64, over the rows where it is known.
    values, targets = split.value.double(), split.target.double()
    if targets.ndim == 1:
        values, targets = values.unsqueeze(1), targets.unsqueeze(1)
    for index, known in enumerate(~targets.isnan().T):
        yield split.name(index), values[known, index], targets[known, index]
