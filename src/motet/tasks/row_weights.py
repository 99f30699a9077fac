"""How much each row counts for a task: the mean weight of the training rows, and who takes weights.

A weighted loss is sum_i w_i l_i divided by the number of labelled elements times the mean weight of
the training labels. That mean is a number that no batch changes, so batches of every size have the
same optimum; divided by the weights of its own rows, a batch of few rows would count its heavy rows
for less. Only where nothing was learned the batch's own weights divide. So they do in evaluation,
where sums and counts of all batches add up: the loss of a split is the weighted mean over its rows.
"""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from motet.problems import InputError, RowError
from motet.tasks.additive import number_of, of_elements, size_of

COMPARED = "its loss compares rows with each other, where none counts by itself; remove the weights"
"""Why some tasks do not take weights."""


class RowWeights:
    """The mean weight of a task's training labels."""

    def __init__(self) -> None:
        self.mean: float | None = None
        """None while it is not known, or if rows have no weights."""

    def count(self, elements: Tensor, labelled: Tensor | None, weights: Tensor | None) -> Tensor:
        """Return what a loss is divided by ().

        Args:
            elements: Labels, or anything of their shape, (B, ...).
            labelled: Which of them are there; None if all are.
            weights: How much each row counts, (B,); every row alike if left out.
        """
        if weights is not None and self.mean is None:
            wide = elements if elements.is_floating_point() else elements.float()
            return of_elements(weights, wide, labelled).sum().float()
        number = size_of(elements) if labelled is None else number_of(labelled)
        return number if weights is None or self.mean is None else number * self.mean


@contextmanager
def divided_by_own_weights(tasks: Iterable[Any]) -> Iterator[None]:
    """Divide losses by the weights of their own rows within a block, as evaluation does.

    Args:
        tasks: The tasks.
    """
    known = [(task.row_weights, task.row_weights.mean) for task in tasks]
    for weights, _ in known:
        weights.mean = None
    try:
        yield
    finally:
        for weights, mean in known:
            weights.mean = mean


def require_weights_taken(task: Any) -> None:
    """Check that a task takes weights of rows.

    Raises:
        InputError: If it gives a reason, or a method of its class has no parameter for them.
    """
    if task.without_weights:
        raise InputError(f"task {task.name!r}: found weights of rows, but {task.without_weights}")
    method = _without_weights(type(task))  # type: ignore[arg-type]  # a class is hashable
    if method is not None:
        arguments = "raw, target" if method == "loss" else "target"
        raise InputError(
            f"task {task.name!r}: found weights of rows, but {method}({arguments}) of "
            f"{type(task).__name__} does not take them; remove the weights, or write "
            f"{method}(self, {arguments}, weights=None) and pass them to self.add_up"
        )


def refuse_weights(task: Any, weights: Tensor | None) -> None:
    """Refuse weights, if rows have some, that a task does not take; see `require_weights_taken`."""
    if weights is not None:
        require_weights_taken(task)


def check_weights(task: Any, target: Tensor, weights: Tensor) -> None:
    """Check the weights of the rows that have a label of a task; those of others do not matter.

    Args:
        task: The task.
        target: Labels (B, ...).
        weights: Weights of the same rows.

    Raises:
        InputError: If they are no numbers (B,), or the task's class does not take weights.
        RowError: If one is negative or not finite.
    """
    require_weights_taken(task)
    if weights.shape != target.shape[:1] or weights.is_complex():
        raise InputError(
            f"task {task.name!r}: the weights have the shape {tuple(weights.shape)}, expected "
            f"({len(target)},), one number per row"
        )
    wrong = task.labelled(target) & ~((weights >= 0) & (weights < torch.inf))
    if bool(wrong.any()):
        row = wrong.nonzero()[0, 0]
        raise RowError(
            f"task {task.name!r}: found the weight {weights[row].item():g} in",
            row,
            ", expected a number >= 0; 0 leaves the row out, as a missing label does",
        )


@cache
def _without_weights(member: type) -> str | None:
    """Return the first method of a class of tasks that does not take weights."""
    methods = ("loss", "count", "statistics")
    return next(
        (
            name
            for name in methods
            if "weights" not in inspect.signature(getattr(member, name)).parameters
        ),
        None,
    )
