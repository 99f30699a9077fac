"""What the passes of a step give."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from motet.balancing import BackwardResult
from motet.training.statistics import Measured

Raw = dict[str, Tensor]
"""Raw output of each task."""
Terms = dict[str, tuple[Tensor, Tensor]]
"""Sum and count of each task's loss."""


@dataclass(frozen=True)
class Passed:
    """What the passes of a step gave; gradients are in ``.grad``."""

    terms: Terms
    losses: dict[str, Tensor]
    """Mean loss of each task that is trained, without normalising."""
    balanced: BackwardResult | None
    """What the balancer did; None if it had nothing to train."""
    penalty: Tensor | None = None
    measured: Measured | None = None
    """Inner products of the task gradients, if they were computed beside."""
    own: Measured | None = None
    """Those of the gradients of tasks in networks of their own, if groups follow from them."""


def added(found: Iterable[Terms]) -> Terms:
    """Add up sums and counts."""
    total: Terms = {}
    for terms in found:
        for task, (loss, count) in terms.items():
            before = total.get(task)
            total[task] = (loss, count) if before is None else (before[0] + loss, before[1] + count)
    return total
