"""Affinity: how much a step along one task's gradient lowers the loss of another.

Z_{i→j} = 1 - L_j(θ - η g_i) / L_j(θ), with all else fixed (TAG, Fifty et al., NeurIPS 2021,
arXiv:2109.04617). Above 0 task i helps task j. Average it over training before choosing groups.
"""

from collections.abc import Mapping
from typing import Any

from motet.analysis.numbers import finite_numbers
from motet.problems import InputError, hint

Affinity = dict[str, dict[str, float]]
"""{source: {target: how much a step of the source lowers the loss of the target, as a share}}."""


def affinity(before: Mapping[str, float], after: Mapping[str, Mapping[str, float]]) -> Affinity:
    """Compute affinities from losses before and after steps.

    Args:
        before: Loss of each task.
        after: {source: {target: its loss after a step along the source's gradient alone}}.

    Returns:
        The affinities.

    Raises:
        InputError: If a loss is not finite or not above 0, or a target is unknown.
    """
    return {
        source: {
            task: 1 - _finite(loss, f"after: {task!r} by {source!r}") / _loss(before, task)
            for task, loss in losses.items()
        }
        for source, losses in after.items()
    }


def first_order_affinity(
    gradients: Mapping[str, Any], losses: Mapping[str, float], learning_rate: float
) -> Affinity:
    """Approximate affinities by η g_i·g_j / L_j, without a further forward pass.

    Args:
        gradients: Gradient of each task on the shared parameters, (P,).
        losses: Loss of each task.
        learning_rate: η, the size of the step.

    Returns:
        The affinities.

    Raises:
        InputError: If a gradient or loss is not finite, a loss is not above 0, or gradients have
            different lengths.

    Example:
        >>> gradients = {"a": [1.0, 3.0], "b": [2.0, 1.0]}
        >>> first_order_affinity(gradients, {"a": 5.0, "b": 2.5}, 0.1)["a"]
        {'a': 0.2, 'b': 0.2}
    """
    rows = {task: finite_numbers(each, f"gradient of {task!r}") for task, each in gradients.items()}
    if len({len(each) for each in rows.values()}) > 1:
        lengths = ", ".join(f"{len(each):,} of {task!r}" for task, each in rows.items())
        raise InputError(f"found {lengths}; expected as many numbers for all", option="gradients")
    return {
        source: {
            task: float(learning_rate * (own @ other) / _loss(losses, task))
            for task, other in rows.items()
        }
        for source, own in rows.items()
    }


def _finite(value: Any, owner: str) -> float:
    return float(finite_numbers(value, owner)[0])


def _loss(losses: Mapping[str, float], task: str) -> float:
    if task not in losses:
        raise InputError(f"found no loss of {task!r}; {hint(task, losses)}")
    loss = _finite(losses[task], f"loss of {task!r}")
    if loss <= 0:
        raise InputError(
            f"found {loss}; a share of it is not defined; expected a number > 0",
            owner=f"loss of {task!r}",
        )
    return loss
