"""Makes the optimizer's step from gradients, or skips it if they are not finite."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.balancing import Balancer
from motet.problems import InputError
from motet.training.errors import TrainingError
from motet.training.state import TrainingState
from motet.training.statistics import whole_norm

_PATIENCE = 10
"""Skipped steps in a row after which training ends."""


def clear_gradients(optimizer: Optimizer) -> None:
    """Do what ``zero_grad`` does, without its profiler records, which take longer than that."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def clip_gradient(parameters: Sequence[Tensor], limit: float | None) -> Tensor:
    """Clip the whole gradient, if there is a limit, and return the norm it had before."""
    norm = whole_norm([gradient for p in parameters if (gradient := p.grad) is not None])
    if limit is not None:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def update(optimizer: Optimizer, balancer: Balancer, losses: Mapping[str, Tensor]) -> None:
    """Make the optimizer's step; what the balancer learned about absent tasks does not change."""
    absent = [i for i, task in enumerate(balancer.tasks) if task not in losses]
    before = [parameter[absent].clone() for parameter in balancer.parameters()] if absent else []
    try:
        optimizer.step()
    except RuntimeError as error:
        if "sparse" not in str(error):
            raise
        raise InputError(
            f"{type(optimizer).__name__} does not support sparse gradients, such as those of "
            "nn.Embedding(sparse=True); create the embedding with sparse=False, or give "
            'optimizer={"type": "sgd"}'
        ) from None
    if absent:
        with torch.no_grad():  # momentum may have changed it
            for parameter, rows in zip(balancer.parameters(), before, strict=True):
                parameter[absent] = rows


def count_skipped(state: TrainingState, losses: Mapping[str, Tensor]) -> None:
    """Count a step that was not finite.

    Raises:
        TrainingError: If it is the last of too many in a row.
    """
    state.skipped += 1
    state.skipped_in_a_row += 1
    bad = [task for task, loss in losses.items() if not torch.isfinite(loss)]
    state.not_finite = f"the loss of {', '.join(bad)}" if bad else "the gradient"
    if state.skipped_in_a_row == _PATIENCE:
        when = f"in {_PATIENCE} steps in a row (up to step {state.step})"
        raise TrainingError(not_finite(state, when))


def not_finite(state: TrainingState, when: str) -> str:
    """Explain what was not finite, and what may help."""
    return (
        f"{state.not_finite} was not finite {when}; try a lower learning rate, clip_norm, or "
        "look for NaN or extreme values in the inputs and targets"
    )
