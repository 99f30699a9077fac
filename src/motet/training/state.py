"""All that training must remember to go on exactly where it stopped.

A trainer's state is its model, balancer and optimizer, the sums of the epoch in progress, the best
weights so far, and a few numbers. Random numbers need no state: they are drawn anew from (seed,
purpose, step).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.problems import InputError


@dataclass
class Progress:
    """Where training is."""

    step: int = 0
    """Optimizer steps made, skipped ones included."""
    epoch: int = 0
    """Epochs completed."""
    batch: int = 0
    """Batches of the epoch in progress that are done."""
    best: float | None = None
    """Best monitored value so far; higher is better."""
    evaluated: int = 0
    """Evaluations made."""
    stale: int = 0
    """Evaluations since the best one."""
    stopped: bool = False
    """Whether early stopping ended the run."""
    skipped: int = 0
    """Steps that were not finite."""
    skipped_in_a_row: int = 0
    gradients: dict[str, list[float]] = field(default_factory=dict)
    """Running moments of the norms of the tasks' gradients; see `motet.training.statistics`."""


class Totals:
    """Adds up sums and counts of losses over an epoch, without a device sync."""

    def __init__(self) -> None:
        self.terms: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Add ``{task: (sum, count)}``."""
        for task, (total, count) in terms.items():
            pair = torch.stack([total.detach(), count]).double()
            self.terms[task] = self.terms[task] + pair if task in self.terms else pair

    def means(self) -> dict[str, float]:
        """Return the mean loss of each task that had a label."""
        pairs = {task: pair.tolist() for task, pair in self.terms.items()}
        return {task: total / count for task, (total, count) in pairs.items() if count}


Parts = Mapping[str, nn.Module]


PARTS = ("totals", "weights", "best")
"""Parts of a state that are no modules: sums of the epoch, last weights, best weights."""


def tensors_of(
    modules: Parts, optimizer: Optimizer, parts: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Gather every tensor of a trainer's state under one flat name each.

    Returns:
        Tensors by name; not copies.
    """
    found: dict[str, Tensor] = {}
    for part, module in modules.items():
        found |= {f"{part}/{name}": tensor for name, tensor in module.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        found |= {
            f"optimizer/{index}/{key}": _tensor(value)
            for key, value in values.items()
            if value is not None
        }
    for part in PARTS:
        found |= {f"{part}/{name}": tensor for name, tensor in parts[part].items()}
    return found


def load_tensors(
    tensors: Mapping[str, Tensor], modules: Parts, optimizer: Optimizer
) -> dict[str, dict[str, Tensor]]:
    """Put tensors that `tensors_of` gathered back where they were.

    Returns:
        The parts that are no modules, on the model's device.

    Raises:
        InputError: If they are of another model, balancer or optimizer.
    """
    for part, module in modules.items():
        own = dict(_under(tensors, part))
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the checkpoint holds another {part}: {reason}") from None
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under(tensors, "optimizer"):
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    device = next(modules["model"].parameters()).device
    return {part: {name: t.to(device) for name, t in _under(tensors, part)} for part in PARTS}


def _under(tensors: Mapping[str, Tensor], part: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if name.startswith(f"{part}/"):
            yield name.removeprefix(f"{part}/"), tensor


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
