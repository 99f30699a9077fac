"""What a balancer needs from the loop beyond losses and gradients: the calls it declares."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.balancing import Balancer, LooksAhead, ReadsAfterStep, ReadsEpochs, ReadsScores
from motet.data.batches import Batch, Data
from motet.problems import InputError
from motet.seeds import derive


def tell_epoch(balancer: Balancer, means: Mapping[str, float]) -> None:
    """Tell the mean losses of an epoch."""
    if balancer.needs.epochs:
        cast(ReadsEpochs, balancer).end_epoch(means)


def tell_scores(balancer: Balancer, scores: Mapping[str, float]) -> None:
    """Tell the normalised scores of an evaluation, without those that could not be computed."""
    if balancer.needs.scores:
        known = {task: score for task, score in scores.items() if not math.isnan(score)}
        cast(ReadsScores, balancer).observe_scores(known)


Losses = Callable[[Batch], Mapping[str, Tensor]]
"""Computes the losses of a batch."""


def tell_losses_after(balancer: Balancer, losses: Losses, batch: Batch) -> None:
    """Tell the losses of the step's batch after the step; computed only for who wants them."""
    if balancer.needs.after_step:
        with torch.no_grad():
            cast(ReadsAfterStep, balancer).after_step(losses(batch))


class ValidationBatches:
    """A validation batch for each step, in an order drawn from (seed, round through the data)."""

    def __init__(self, data: Data, size: int, seed: int) -> None:
        self._data, self._size = data, size
        self._seed = derive(seed, "look ahead")
        self._rounds = data.steps(size)
        self._next = -1
        self._rest: Iterator[Batch] = iter(())

    def at(self, step: int) -> Batch:
        """Return the batch of a step; quick for one step after the other."""
        number, done = divmod(step, self._rounds)
        if step != self._next or not done:
            self._rest = self._data.epoch(self._size, seed=self._seed, number=number, done=done)
        self._next = step + 1
        return next(self._rest)


def batches_to_look_at(
    balancers: Iterable[Balancer], valid: Data | None, size: int, seed: int
) -> ValidationBatches | None:
    """Make the validation batches that the balancer of some stage needs.

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
            f"{type(balancer).__name__} learns its weights from validation data, and there are "
            "none; give some (validation=, or split: {validation: 0.15}), or choose another "
            "balancer"
        )
    return ValidationBatches(valid, size, seed)


def look_ahead(
    balancer: Balancer,
    model: nn.Module,
    optimizer: Optimizer,
    losses: Losses,
    batch: Batch,
    ahead: Callable[[], Batch],
) -> None:
    """Let a balancer learn what a step on ``batch``, tried and not made, does to one ``ahead``."""
    if balancer.needs.looks_ahead:
        valid = ahead()
        cast(LooksAhead, balancer).look_ahead(
            model, optimizer, lambda: losses(batch), lambda: losses(valid)
        )
