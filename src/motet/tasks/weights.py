"""Class weights and label weights: given as numbers, or learned once from the training labels."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from motet.figures import counted
from motet.problems import InputError
from motet.tasks.additive import clean, of_elements
from motet.tasks.labels import is_soft
from motet.tasks.row_weights import RowWeights
from motet.wide_state import WideState


class LabelWeights(WideState):
    """One weight per class or label, which a saved model keeps.

    Args:
        given: The numbers, or "balanced" if they will be learned.
        outputs: How many there are, C.
        task: Name of the task.
        option: The task's option that gives them.

    Raises:
        InputError: If another number of weights is given.
    """

    values: Tensor

    def __init__(
        self,
        given: Sequence[float] | Literal["balanced"],
        outputs: int,
        task: str,
        option: str = "class_weights",
    ) -> None:
        super().__init__()
        self.learned, self.known = given == "balanced", given != "balanced"
        self.task, self.option = task, option
        if self.known and len(given) != outputs:
            message = f"found {counted(len(given), 'number')}, expected {outputs}, one per class"
            raise InputError(message, option=option, owner=f"task {task!r}")
        values = [1.0] * outputs if self.learned else [*given]
        self.values = nn.Buffer(torch.tensor(values, dtype=torch.float32))
        self.register_load_state_dict_post_hook(_known)  # type: ignore[no-untyped-call]  # torch's

    def learn(self, values: Tensor) -> None:
        """Take the weights found in the training labels, shape (C,)."""
        self.values.copy_(values)
        self.known = True

    def forward(self) -> Tensor:
        """Return the weights (C,).

        Raises:
            InputError: If they are to be learned and the training labels were not seen yet.
        """
        if not self.known:
            raise InputError(
                "found balanced, but no training labels were seen yet; call task.prepare(targets) "
                "once before training, or give the numbers",
                option=self.option,
                owner=f"task {self.task!r}",
            )
        return self.values


class ClassWeights(LabelWeights):
    """One weight per class, and their mean over the training labels once these were seen.

    A weighted loss is divided by the number of its labels times that mean: a number that does not
    depend on which classes a batch happens to have, so that batches of every size have the same
    optimum. Divided by the weights of its own labels, a batch of few rows would count for less the
    more rare classes it has. That is done only where no training labels were seen.

    Args:
        given: As in `LabelWeights`.
        outputs: As in `LabelWeights`.
        task: Name of the task.
    """

    mean: Tensor

    def __init__(
        self, given: Sequence[float] | Literal["balanced"], outputs: int, task: str
    ) -> None:
        super().__init__(given, outputs, task)
        self.mean = nn.Buffer(torch.zeros(()))  # 0 while it is not known
        self.has_mean = False
        self.register_load_state_dict_post_hook(_has_mean)  # type: ignore[no-untyped-call]  # torch's

    def learn_from(self, counts: Tensor, shares: Tensor) -> None:
        """Learn balanced weights, if asked to, and the mean weight.

        Args:
            counts: How many training labels each class has, (C,), float64; if rows have weights,
                the sum of those.
            shares: The sum of its shares, (C,): the same if labels are not soft.
        """
        if not bool(counts.any()):
            return
        if self.learned:
            self.learn(balanced_classes(counts))
        self.mean.copy_(shares @ self().double().to(shares.device) / counts.sum())
        self.has_mean = True

    def of(self, target: Tensor) -> Tensor:
        """Return the weight of each label: class indices, any shape, or shares (B, C)."""
        weights = self()
        return torch.mv(target.to(weights.dtype), weights) if is_soft(target) else weights[target]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        state_dict.setdefault(f"{prefix}mean", self.mean)  # older files have none
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def count_of(
    target: Tensor,
    labelled: Tensor | None,
    weights: Tensor | None,
    class_weights: ClassWeights | None,
    row_weights: RowWeights,
) -> Tensor:
    """Return what a loss of classes is divided by ().

    Args:
        target: Class indices, any shape, or shares (B, C), 0 where missing.
        labelled: Which labels are there; None if all are.
        weights: How much each row counts, (B,); every row alike if left out.
        class_weights: The weights of the classes, if the loss has some.
        row_weights: What is known about the weights of rows.
    """
    if class_weights is not None and not class_weights.has_mean:
        found = clean(class_weights.of(target), labelled)
        return (found if weights is None else found * of_elements(weights, found, labelled)).sum()
    number = row_weights.count(target[:, 0] if is_soft(target) else target, labelled, weights)
    return number if class_weights is None else number * class_weights.mean


def balanced_classes(counts: Tensor) -> Tensor:
    """Weigh classes by n / (C n_c), so that each has the same total.

    As scikit-learn does: C counts the classes that occur, and the mean weight of a row is 1. A
    class that does not occur is weighed as if it occurred once.

    Args:
        counts: How many labels each class has, shape (C,), float64.

    Returns:
        Weights, shape (C,), float64.

    Example:
        >>> balanced_classes(torch.tensor([3.0, 1.0], dtype=torch.float64))
        tensor([0.6667, 2.0000], dtype=torch.float64)
    """
    return counts.sum() / ((counts > 0).sum() * counts.where(counts > 0, 1))


def balanced_labels(zeros: Tensor, ones: Tensor) -> Tensor:
    """Weigh the ones of each label by zeros / ones; no ones, or no zeros, count as one.

    Args:
        zeros: How many zeros each label has, shape (C,), float64.
        ones: How many ones.

    Returns:
        Weights, shape (C,), float64.

    Example:
        >>> balanced_labels(torch.tensor([2.0]), torch.tensor([1.0]))
        tensor([2.])
    """
    return zeros.where(zeros > 0, 1) / ones.where(ones > 0, 1)


def _known(module: Any, _: Any) -> None:
    module.known = True  # weights that come from a file were learned before it was written


def _has_mean(module: Any, _: Any) -> None:
    module.has_mean = bool(module.mean > 0)
