"""What a balancer needs from the loop beyond losses and gradients, as its record declares."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.balancing import Balancer, LooksAhead, ReadsAfterStep, ReadsEpochs, ReadsScores
from motet.data.batches import Data
from motet.data.cycling import Cycle
from motet.problems import InputError
from motet.processes import Processes
from motet.seeds import derive
from motet.training.plan import Plan


def report_epoch(balancer: Balancer, means: Mapping[str, float]) -> None:
    """Report the mean losses of an epoch."""
    if balancer.needs.epochs:
        own = {task: mean for task, mean in means.items() if task in balancer.tasks}
        cast(ReadsEpochs, balancer).end_epoch(own)


def report_scores(balancer: Balancer, scores: Mapping[str, float]) -> None:
    """Report the normalised scores of an evaluation, without those that are NaN."""
    if balancer.needs.scores:
        known = {task: score for task, score in scores.items() if not math.isnan(score)}
        cast(ReadsScores, balancer).observe_scores(known)


Losses = Callable[[Plan], Mapping[str, Tensor]]
"""Computes the losses that a step balances."""


def report_losses_after(balancer: Balancer, losses: Losses, plan: Plan) -> None:
    """Report the losses of a step after it; computed only for balancers that read them."""
    if balancer.needs.after_step:
        with torch.no_grad():
            cast(ReadsAfterStep, balancer).after_step(losses(plan))


class ValidationBatches(Cycle):
    """A validation batch for each step, in an order drawn from (seed, round through the data)."""

    def __init__(self, data: Data, size: int, seed: int) -> None:
        super().__init__(data, size, derive(seed, "look ahead"))


def validation_batches(
    balancers: Iterable[Balancer], valid: Data | None, size: int, seed: int
) -> ValidationBatches | None:
    """Create the validation batches that the balancer of some stage needs.

    Returns:
        The batches; None if none needs them.

    Raises:
        InputError: If one does and there are no validation data.
    """
    balancer = next((each for each in balancers if each.needs.looks_ahead), None)
    if balancer is None:
        return None
    if valid is None:
        raise InputError(
            f"{type(balancer).__name__} learns its weights from validation data; found none; give "
            "some (validation=, or split: {validation: 0.15}), or choose another balancer"
        )
    return ValidationBatches(valid, size, seed)


def look_ahead(
    balancer: Balancer,
    model: nn.Module,
    optimizer: Optimizer,
    losses: Losses,
    plan: Plan,
    ahead: Callable[[], Plan],
    processes: Processes,
) -> None:
    """Let a balancer learn how a step, tried and undone, changes the losses of other rows.

    Args:
        balancer: The balancer; nothing is computed for one that does not look ahead.
        model: The model.
        optimizer: The optimizer.
        losses: Computes the losses of a plan.
        plan: The step.
        ahead: Plans the same step on validation rows.
        processes: The processes that make the step together.
    """
    if balancer.needs.looks_ahead:
        valid = ahead()
        cast(LooksAhead, balancer).look_ahead(
            model,
            optimizer,
            lambda: losses(plan),
            lambda: losses(valid),
            process_group=processes.group,
        )
