"""What a record of a step or an epoch says about each task."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from motet.training.step_result import StepResult

LOG_EVERY = 50
"""Steps between two step records."""


def step_entries(result: StepResult) -> dict[str, dict[str, float]]:
    """Return loss, weight and gradient norm of each task, as far as they are known."""
    weights = (result.balanced.weights if result.balanced else None) or {}
    norms = result.gradient_norms
    return {
        task: {"loss": float(loss)}
        | ({"weight": float(weights[task])} if task in weights else {})
        | ({"gradient_norm": norms[task]} if task in norms else {})
        for task, loss in result.losses.items()
    }


def step_values(result: StepResult) -> dict[str, Any]:
    """Return what a step record says about all tasks together."""
    values: dict[str, Any] = {"gradient_norm": float(result.gradient_norm or 0)}
    if result.balanced is not None and result.balanced.cosines is not None:
        values["cosines"] = result.balanced.cosines.tolist()
        values["status"] = result.balanced.status
    if result.penalty is not None:
        values["penalty"] = float(result.penalty)
    return values


def epoch_entries(
    means: Mapping[str, float], weights: Mapping[str, Tensor]
) -> dict[str, dict[str, float]]:
    """Return the mean loss of each task, and the weight it had last, if it had one."""
    return {
        task: {"loss": loss} | ({"weight": float(weights[task])} if task in weights else {})
        for task, loss in means.items()
    }
