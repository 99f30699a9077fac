"""What a balancer needs from the loop beyond losses and gradients: the calls it declares."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from motet.balancing import Balancer, ReadsAfterStep, ReadsEpochs, ReadsScores


def tell_epoch(balancer: Balancer, means: Mapping[str, float]) -> None:
    """Tell the mean losses of an epoch."""
    if isinstance(balancer, ReadsEpochs):
        balancer.end_epoch(means)


def tell_scores(balancer: Balancer, scores: Mapping[str, float]) -> None:
    """Tell the normalised scores of an evaluation, without those that could not be computed."""
    if isinstance(balancer, ReadsScores):
        balancer.observe_scores({t: score for t, score in scores.items() if not math.isnan(score)})


def tell_losses_after(balancer: Balancer, losses: Callable[[], Mapping[str, Tensor]]) -> None:
    """Tell the losses of the step's batch after the step; computed only for who wants them."""
    if isinstance(balancer, ReadsAfterStep) and balancer.exact:
        with torch.no_grad():
            balancer.after_step(losses())
