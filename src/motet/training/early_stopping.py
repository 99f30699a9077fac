"""The best monitored value so far, and when to stop without a better one."""

import math

from motet.training.state import Progress


def note_value(progress: Progress, value: float, loss: float, patience: int | None) -> bool:
    """Compare a monitored value with the best so far; stop after ``patience`` that were no better.

    Of equal values, as coarse metrics have them, the one with the lower loss is better. It does not
    count as progress: if only the loss improves, training still stops.

    Returns:
        Whether it is the best so far.
    """
    better = progress.best is None or value > progress.best
    if better:
        progress.best, progress.stale = value, 0
    else:
        progress.stale += 1
        progress.stopped = progress.stale == patience
        lowest = progress.best_loss
        better = value == progress.best and lowest is not None and loss < lowest
    if better:
        progress.best_loss = loss if math.isfinite(loss) else None
    return better
