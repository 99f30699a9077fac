"""Steps whose losses or gradients were not finite: counted, and too many in a row end training."""

from collections.abc import Mapping

import torch
from torch import Tensor

from motet.training.errors import TrainingError
from motet.training.state import TrainingState

PATIENCE_FOR_NON_FINITE = 10
"""Skipped steps in a row after which training ends."""


def count_skipped(state: TrainingState, losses: Mapping[str, Tensor]) -> None:
    """Count a step that was not finite.

    Raises:
        TrainingError: If it is the last of too many in a row.
    """
    state.skipped += 1
    state.skipped_in_a_row += 1
    bad = [task for task, loss in losses.items() if not torch.isfinite(loss)]
    state.not_finite = f"the loss of {', '.join(bad)}" if bad else "the gradient"
    if state.skipped_in_a_row == PATIENCE_FOR_NON_FINITE:
        when = f"in {PATIENCE_FOR_NON_FINITE} steps in a row (up to step {state.step})"
        raise TrainingError(not_finite(state, when))


def not_finite(state: TrainingState, when: str) -> str:
    """Explain what was not finite, and what may help."""
    return (
        f"{state.not_finite} was not finite {when}; try a lower learning rate, clip_norm, or "
        "look for NaN or extreme values in the inputs and targets"
    )
