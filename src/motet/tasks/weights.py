"""Weights of classes or labels: given as numbers, or learned once from the training labels."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from motet.problems import InputError
from motet.tasks.labels import at_least_float32


class LabelWeights(nn.Module):
    """One weight per class or label, which a saved model keeps.

    Args:
        given: The numbers, or "balanced" if they will be learned.
        outputs: How many there are, C.
        where: What an error calls them, such as "task 'digit': class_weights".

    Raises:
        InputError: If another number of weights is given.
    """

    values: Tensor

    def __init__(
        self, given: Sequence[float] | Literal["balanced"], outputs: int, where: str
    ) -> None:
        super().__init__()
        self.learned, self.known, self.where = given == "balanced", given != "balanced", where
        if self.known and len(given) != outputs:
            raise InputError(f"{where} has {len(given)} numbers, expected {outputs}, one per class")
        self.values = nn.Buffer(torch.ones(outputs) if self.learned else torch.tensor([*given]))
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
                f"{self.where}: balanced has not seen the training labels; call "
                "task.prepare(targets) once before training, or give the numbers"
            )
        return at_least_float32(self.values)


def balanced_classes(labels: Tensor, classes: int) -> Tensor:
    """Weigh classes by n / (C n_c), so that each has the same total.

    As scikit-learn does: C counts the classes that occur, and the mean weight of a row is 1. A
    class that does not occur is weighed as if it occurred once.

    Args:
        labels: Class indices without missing ones, shape (N,).
        classes: Number of classes.

    Returns:
        Weights, shape (classes,), float64.

    Example:
        >>> balanced_classes(torch.tensor([0, 0, 0, 1]), 2)
        tensor([0.6667, 2.0000], dtype=torch.float64)
    """
    counts = torch.bincount(labels, minlength=classes).double()
    return counts.sum() / ((counts > 0).sum() * counts.clamp(min=1))


def balanced_labels(indicators: Tensor) -> Tensor:
    """Weigh the ones of each label by zeros / ones; no ones, or no zeros, count as one.

    Args:
        indicators: 0, 1 or NaN (missing), shape (N, C).

    Returns:
        Weights, shape (C,), float64.

    Example:
        >>> balanced_labels(torch.tensor([[1.0], [0.0], [0.0], [torch.nan]]))
        tensor([2.], dtype=torch.float64)
    """
    ones, zeros = ((indicators == value).sum(dim=0).double().clamp(min=1) for value in (1, 0))
    return zeros / ones


def _known(module: Any, _: Any) -> None:
    module.known = True  # weights that come from a file were learned before it was written
