"""The best monitored value so far, and when to stop without a better one."""

import math

from motet.training.state import TrainingState


def note_value(state: TrainingState, value: float, loss: float, patience: int | None) -> bool:
    """Compare a monitored value with the best so far; stop after ``patience`` that were no better.

    Of equal values, as coarse metrics have them, the one with the lower loss is better. It does not
    count as progress: if only the loss improves, training still stops.

    Returns:
        Whether it is the best so far.
    """
    better = state.best is None or value > state.best
    if better:
        state.best, state.stale = value, 0
    else:
        state.stale += 1
        state.stopped = state.stale == patience
        lowest = state.best_loss
        better = value == state.best and lowest is not None and loss < lowest
    if better:
        state.best_loss = loss if math.isfinite(loss) else None
    return better
