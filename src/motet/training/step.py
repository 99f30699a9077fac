"""What one update needs beyond the forward and backward pass, and what it tells."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.balancing import BackwardResult, Balancer
from motet.problems import InputError
from motet.training.monitoring import TrainingError
from motet.training.state import Progress
from motet.training.statistics import whole_norm

PATIENCE_FOR_NON_FINITE = 10
"""Skipped steps in a row after which a run stops."""


@dataclass(frozen=True)
class StepResult:
    """What one training step did. Tensors stay on the device."""

    losses: dict[str, Tensor]
    gradient_norm: Tensor | None = None
    """Norm of the whole gradient."""
    balanced: BackwardResult | None = None
    """What the balancer did; None if no task had a label."""
    penalty: Tensor | None = None
    """The regulariser of the sharing scheme, if it has one."""
    skipped: bool = False
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    """Norms of the tasks' gradients on the shared parameters, at the steps where they are known."""


class Averages:
    """What a forward pass moves by itself, such as BatchNorm's averages, to be put back."""

    def __init__(self, model: nn.Module) -> None:
        saved = model.state_dict(keep_vars=True).values()
        self._tensors = [each for each in saved if not isinstance(each, nn.Parameter)]
        self._kept: list[Tensor] = []

    def keep(self) -> None:
        """Remember them as they are."""
        self._kept = [each.clone() for each in self._tensors]

    def put_back(self) -> None:
        """Make them what they were."""
        for each, kept in zip(self._tensors, self._kept, strict=True):
            each.copy_(kept)


def forget_gradients(optimizer: Optimizer) -> None:
    """Do what ``zero_grad`` does, without its notes to a profiler, which take longer than that."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def clipped_norm(parameters: Sequence[Tensor], limit: float | None) -> Tensor:
    """Clip the whole gradient, if there is a limit, and return the norm it had before."""
    norm = whole_norm([gradient for p in parameters if (gradient := p.grad) is not None])
    if limit is not None:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def arithmetic(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass is computed in ``precision``."""
    half = precision == "bfloat16"
    if not half and not torch.is_autocast_enabled(device.type):
        return nullcontext()  # ten times cheaper than an autocast that is off
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def update(optimizer: Optimizer, balancer: Balancer, losses: Mapping[str, Tensor]) -> None:
    """Make the optimizer's step; what the balancer learned of absent tasks stays as it is."""
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
        with torch.no_grad():  # momentum may have moved it
            for parameter, rows in zip(balancer.parameters(), before, strict=True):
                parameter[absent] = rows


def count_skipped(progress: Progress, losses: Mapping[str, Tensor]) -> None:
    """Count a step that was not finite.

    Raises:
        TrainingError: If it is the last of too many in a row.
    """
    progress.skipped += 1
    progress.skipped_in_a_row += 1
    bad = [task for task, loss in losses.items() if not torch.isfinite(loss)]
    progress.not_finite = f"the loss of {', '.join(bad)}" if bad else "the gradient"
    if progress.skipped_in_a_row == PATIENCE_FOR_NON_FINITE:
        when = f"in {PATIENCE_FOR_NON_FINITE} steps in a row (up to step {progress.step})"
        raise TrainingError(not_finite(progress, when))


def not_finite(progress: Progress, when: str) -> str:
    """Say what was not finite, and what may help."""
    return (
        f"{progress.not_finite} was not finite {when}; try a lower learning rate, clip_norm, or "
        "look for NaN or extreme values in the inputs and targets"
    )
