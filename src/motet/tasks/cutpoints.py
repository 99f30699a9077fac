"""Thresholds between ordered classes, and the likelihood that they give."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad, softplus

from motet.tasks.losses.elements import Reduction, reduced
from motet.wide_state import WideState


@final
class Cutpoints(WideState):
    """C - 1 increasing thresholds: the first is free, the others follow by softplus increments.

    They begin where all classes are equally likely, or once `place` was called where a row without
    features has the classes' shares. Loaded ones stay where they are.

    Args:
        classes: Number of classes C.
    """

    known: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(_steps_of(torch.ones(classes)).float())
        self.known = nn.Buffer(torch.tensor(False))

    @torch.no_grad()
    def place(self, counts: Tensor) -> None:
        """Begin with the shares of training labels, unless the thresholds were placed before.

        Args:
            counts: How many labels each class has, (C,); one is added to each.
        """
        if not bool(self.known):
            self.steps.copy_(_steps_of(counts.double() + 1))
            self.known.fill_(True)

    def forward(self) -> Tensor:
        """Return the thresholds, (C - 1,)."""
        return torch.cat([self.steps[:1], softplus(self.steps[1:])]).cumsum(dim=0)


def class_log_probabilities(raw: Tensor, thresholds: Tensor) -> Tensor:
    """Return log P(y = j) where P(y <= j) = sigmoid(t_j - z): the cumulative link (logit) model.

    McCullagh, Journal of the Royal Statistical Society B 42 (1980). With a = t_j - z and
    b = t_(j-1) - z, log(sigmoid(a) - sigmoid(b)) is computed as
    log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)), which is exact far from the thresholds.

    Args:
        raw: z, shape (B,).
        thresholds: t, increasing, shape (C - 1,).

    Returns:
        Shape (B, C).

    Example:
        >>> class_log_probabilities(torch.tensor([0.0, 1.5]), torch.tensor([-1.0, 1.0])).exp()
        tensor([[0.2689, 0.4621, 0.2689],
                [0.0759, 0.3017, 0.6225]])
    """
    above = thresholds - raw.unsqueeze(1)
    tiny = torch.finfo(thresholds.dtype).tiny
    between = (-torch.expm1(-thresholds.diff().clamp(min=tiny))).log()
    ends = pad(logsigmoid(above), [0, 1]) + pad(logsigmoid(-above), [1, 0])
    return ends + pad(between, [1, 1])


def cumulative_link(
    raw: Tensor, target: Tensor, *, thresholds: Tensor, reduction: Reduction = "none"
) -> Tensor:
    """Return -log P of the class of each row; see `class_log_probabilities`.

    Args:
        raw: z, shape (B,).
        target: Places of classes, shape (B,).
        thresholds: Increasing, shape (C - 1,).
        reduction: "sum" adds the rows up.

    Returns:
        One loss per row, shape (B,), or their sum.
    """
    log_p = class_log_probabilities(raw, thresholds.to(raw.dtype))
    return reduced(-log_p.gather(1, target.long().unsqueeze(1)).squeeze(1), reduction)


def _steps_of(counts: Tensor) -> Tensor:
    """Return the steps, (C - 1,), of the thresholds that give classes these shares."""
    reached = counts.cumsum(dim=0)
    thresholds = torch.logit(reached[:-1] / reached[-1])
    between = thresholds.diff()
    return torch.cat([thresholds[:1], between + (-torch.expm1(-between)).log()])
