"""Adam for what balancers learn by their own rules: its memory is the balancer's."""

import torch
from torch import Tensor

_MEAN, _SQUARE, _STEPS = range(3)


def adam_step(
    values: Tensor,
    gradient: Tensor,
    moments: Tensor,
    rows: Tensor,
    *,
    rate: float,
    weight_decay: float = 0.0,
) -> None:
    """Make one step of Adam (Kingma & Ba, ICLR 2015, arXiv:1412.6980) on some tasks' values.

    Every task counts its own steps, so that an absent task later continues where it was. The
    averages decay by 0.9 and 0.999.

    Args:
        values: One value per task (T,), changed in place.
        gradient: Gradient at the chosen tasks (T',).
        moments: Mean gradient, mean square and number of steps (T, 3), changed in place.
        rows: Which tasks (T',).
        rate: Learning rate.
        weight_decay: L2 penalty, added to the gradient.
    """
    before, memory = values[rows], moments[rows]
    gradient = gradient.to(values) + weight_decay * before
    steps = memory[:, _STEPS] + 1
    mean = torch.lerp(gradient, memory[:, _MEAN], 0.9)
    square = torch.lerp(gradient.square(), memory[:, _SQUARE], 0.999)
    root = (square / (1 - 0.999**steps)).sqrt() + 1e-8
    values[rows] = before - rate * mean / (1 - 0.9**steps) / root
    moments[rows] = torch.stack([mean, square, steps], dim=1)
