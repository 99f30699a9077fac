"""Statistics of the tasks' gradients while training, cheap enough to leave on."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor

GRADIENTS_EVERY = 200
"""Steps between two looks at the tasks' gradients, where the balancer does not need them anyway.

A look costs one backward pass per task: about 1 % of the time with three tasks.
"""


class GradientStats(TypedDict):
    """Norm of one task's gradient on the shared parameters, over the steps looked at."""

    norm: float
    """Mean norm."""
    variance: float
    """Variance of the norm."""
    count: int
    """Steps looked at."""


def gradient_norms(losses: Mapping[str, Tensor], shared: Sequence[Tensor]) -> dict[str, float]:
    """Compute the norm of each task's gradient on the shared parameters; the graph stays."""
    wanted = [leaf for leaf in shared if leaf.requires_grad]
    if not wanted:
        return {}
    norms = {}
    for task, loss in losses.items():
        found = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
        parts = [gradient for gradient in found if gradient is not None]
        norms[task] = float(torch.nn.utils.get_total_norm(parts))
    return norms


def add_norms(moments: dict[str, list[float]], norms: Mapping[str, float]) -> None:
    """Add norms to running (count, mean, sum of squared deviations), by Welford's recurrence."""
    for task, norm in norms.items():
        count, mean, squares = moments.get(task, [0, 0.0, 0.0])
        count += 1
        step = norm - mean
        mean += step / count
        moments[task] = [count, mean, squares + step * (norm - mean)]


def gradient_stats(moments: Mapping[str, Sequence[float]]) -> dict[str, GradientStats]:
    """Turn running moments into statistics by task."""
    return {
        task: {"norm": mean, "variance": squares / count, "count": int(count)}
        for task, (count, mean, squares) in moments.items()
    }
