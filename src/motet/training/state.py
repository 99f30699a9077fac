"""All that training must remember to go on exactly where it stopped.

A trainer's state is its model, balancer and optimizer, the sums of the epoch in progress, the best
weights so far, and a few numbers. Random numbers need no state: they are drawn anew from (seed,
purpose, step). A state that was returned or loaded shares no memory with the trainer: training
changes tensors in place, and would change the state, or a second trainer that loaded it.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.model import MultiTaskModel, on_host
from motet.problems import InputError

_WAITING = 1000
"""Terms that wait at most: a few kilobytes."""


class Judged(NamedTuple):
    """What the last evaluation of a task gave; None where a number was NaN."""

    score: float | None
    loss: float | None
    labels: float


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
    best_loss: float | None = None
    """Loss of the watched tasks where that was, which breaks ties; None if it is not known."""
    evaluated: int = 0
    """Evaluations made."""
    judged: dict[str, Judged] = field(default_factory=dict)
    """What the last evaluation of each task gave."""
    stale: int = 0
    """Evaluations since the best one."""
    stopped: bool = False
    """Whether early stopping ended the run."""
    skipped: int = 0
    """Steps that were not finite."""
    skipped_in_a_row: int = 0
    not_finite: str = ""
    """What was not finite in the last skipped step."""
    gradients: dict[str, list[float]] = field(default_factory=dict)
    """Running moments of the norms of the tasks' gradients; see `motet.training.statistics`."""


class Totals:
    """Adds up sums and counts of losses over an epoch, in float64, one by one in their order.

    Terms wait on the device for a while, so that they cost a step nothing but a note; when they are
    added does not change a bit of the result.
    """

    def __init__(self, sums: Mapping[str, Sequence[float]] | None = None) -> None:
        self._sums = {task: (pair[0], pair[1]) for task, pair in (sums or {}).items()}
        self._waiting: list[tuple[str, Tensor, Tensor]] = []

    def add(self, terms: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Add ``{task: (sum, count)}``."""
        self._waiting += [(task, total.detach(), count) for task, (total, count) in terms.items()]
        if len(self._waiting) >= _WAITING:
            self._add_up()

    def sums(self) -> dict[str, tuple[float, float]]:
        """Return sum and count of each task."""
        self._add_up()
        return dict(self._sums)

    def means(self) -> dict[str, float]:
        """Return the mean loss of each task that had a label."""
        return {task: total / count for task, (total, count) in self.sums().items() if count}

    def _add_up(self) -> None:
        found = on_host([number for _, *pair in self._waiting for number in pair])
        for (task, *_), total, count in zip(self._waiting, found[::2], found[1::2], strict=True):
            before = self._sums.get(task, (0.0, 0.0))
            self._sums[task] = before[0] + total, before[1] + count
        self._waiting.clear()


@dataclass
class Memory:
    """Tensors that training remembers beside those of model, balancer and optimizer."""

    totals: Totals = field(default_factory=Totals)
    """Sums of the losses of the epoch in progress."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the tasks in the last step that had any."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The model at the best evaluation so far; empty before there was one."""


Modules = Mapping[str, nn.Module]


def tensors_of(modules: Modules, optimizer: Optimizer, memory: Memory) -> dict[str, Tensor]:
    """Gather every tensor of a trainer's state under one flat name each.

    Returns:
        Tensors by name: copies, on the CPU.
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
    totals = {task: _tensor(pair) for task, pair in memory.totals.sums().items()}
    parts = {"totals": totals, "weights": memory.weights, "best": memory.best}
    for part, named in parts.items():
        found |= {f"{part}/{name}": tensor for name, tensor in named.items()}
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in found.items()}


def load_tensors(tensors: Mapping[str, Tensor], modules: Modules, optimizer: Optimizer) -> Memory:
    """Copy tensors that `tensors_of` gathered back to where they were.

    Returns:
        What is in no module, on the model's device.

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
        state.setdefault(int(index), {})[key] = tensor.clone()  # the optimizer takes it as it is
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    device = next(modules["model"].parameters()).device
    weights, best = (
        {name: tensor.to(device, copy=True) for name, tensor in _under(tensors, part)}
        for part in ("weights", "best")
    )
    totals = Totals({task: pair.tolist() for task, pair in _under(tensors, "totals")})
    return Memory(totals, weights, best)


def header_of(model: MultiTaskModel, progress: Progress) -> dict[str, Any]:
    """Gather what is no tensor, as JSON can hold it."""
    return {
        "progress": asdict(progress),
        "tasks": list(model.tasks.names),
        "enabled": list(model.active_tasks),
        "frozen": model.frozen,
        "held": model.held,
        "reached": model.ownership.seen,
    }


def check_header(header: Mapping[str, Any], model: MultiTaskModel) -> None:
    """Refuse a state before anything is changed by it.

    Raises:
        InputError: If it is of other tasks.
    """
    if header["tasks"] != list(model.tasks.names):
        raise InputError(
            f"the state is of the tasks {', '.join(header['tasks'])}, "
            f"expected {', '.join(model.tasks.names)}"
        )


def taken_apart(
    state: Any, header: Mapping[str, Any] | None
) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Take a state as a pair, or its two halves one by one.

    Returns:
        Tensors and header.

    Raises:
        InputError: If it is no state.
    """
    pair = state if header is None else (state, header)
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Mapping)):
        raise InputError(
            f"state: found {type(state).__name__}, expected what trainer.state() returned: "
            "(tensors, header)"
        )
    return pair


def load_header(header: Mapping[str, Any], model: MultiTaskModel) -> Progress:
    """Enable and freeze what was enabled and frozen, and return where training was."""
    for name in model.tasks.names:
        enable = name in header["enabled"]
        (model.enable_task if enable else model.disable_task)(name)
    model.unfreeze(*(name for name, _ in model.named_parameters()))
    model.freeze(*header["frozen"])
    model.freeze(*header["held"], evaluation=True)
    model.ownership.add(header.get("reached", {}))  # older checkpoints have none
    progress = Progress(**deepcopy(header["progress"]))
    progress.judged = {task: Judged(*each) for task, each in progress.judged.items()}
    return progress


def _under(tensors: Mapping[str, Tensor], part: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if name.startswith(f"{part}/"):
            yield name.removeprefix(f"{part}/"), tensor


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
