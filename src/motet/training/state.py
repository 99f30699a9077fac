"""The state that training needs to continue exactly where it stopped.

It is one `TrainingState`, and the states of modules (model, balancers, ...) and of the optimizer.
Random numbers need no state: they are drawn anew from (seed, purpose, step). A state that was saved
or loaded shares no memory with the trainer: training changes tensors in place, and would change the
state, or a second trainer that loaded it.
"""

import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.model import MultiTaskModel
from motet.problems import MALFORMED, InputError, reason
from motet.training import plain_optimizers
from motet.training.pairs import Pairs
from motet.training.totals import Totals


def finite(value: float) -> float:
    """Return a number that JSON can hold: in place of an infinite one the largest; NaN stays."""
    return min(max(value, -sys.float_info.max), sys.float_info.max)


class LastResult(NamedTuple):
    """The last evaluation of a task; None where a number was NaN."""

    score: float | None
    loss: float | None
    labels: float


@dataclass
class TrainingState:
    """The state of training, apart from modules and optimizer."""

    step: int = 0
    """Optimizer steps made, skipped ones included."""
    epoch: int = 0
    """Epochs completed."""
    batch: int = 0
    """Batches of the epoch in progress that are done."""
    position: int = 0
    """Place of the last step in the schedule of learning rates; steps before it, where each takes
    one batch."""
    draws: int = 0
    """Draws of the scheduler, counted where a step combines several."""
    scheduled: dict[str, list[int]] = field(default_factory=dict)
    """Steps of the epoch in progress that trained each task, and the rows of its batches."""
    reported: list[float] = field(default_factory=list)
    """The progress that the last step reported to the scheduler: epoch, epochs, share done."""
    main_steps: int = 0
    """Steps that included a main task, counted where a task's frequency refers to them."""
    best: float | None = None
    """Best monitored value so far; higher is better."""
    best_loss: float | None = None
    """Loss of the monitored tasks at the best value, which breaks ties; None if unknown."""
    evaluated: int = 0
    """Evaluations made."""
    averaged: int = 0
    """Steps whose weights are in the average."""
    smoothed: float = 0.0
    """Sum of the monitored values so far, with weights that fall with their age; see
    `motet.training.monitor.smoothed_value`."""
    smoothed_weight: float = 0.0
    """Sum of these weights."""
    last_results: dict[str, LastResult] = field(default_factory=dict)
    """The last evaluation of each task."""
    stale: int = 0
    """Evaluations since the best one."""
    stopped: bool = False
    """Whether early stopping ended training."""
    skipped: int = 0
    """Steps that were not finite."""
    skipped_in_a_row: int = 0
    overflowed: int = 0
    """Steps skipped as a gradient overflowed float16, after which the loss scale was halved."""
    not_finite: str = ""
    """What was not finite in the last skipped step."""
    best_of: dict[str, float] = field(default_factory=dict)
    """The best score of each task so far, or of a task without scores its lowest loss, negated."""
    kept_for: dict[str, int] = field(default_factory=dict)
    """The evaluation at which each task was best, if its weights are kept."""
    drawn: dict[str, int] = field(default_factory=dict)
    """Batches drawn from each of several sources, in all epochs."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each of several sources in the epoch in progress."""
    totals: Totals = field(default_factory=Totals, compare=False)
    """Sums of the losses of the epoch in progress."""
    pairs: Pairs = field(default_factory=Pairs, compare=False)
    """What was measured of the tasks' gradients."""
    weights: dict[str, Tensor] = field(default_factory=dict, compare=False)
    """Weights of the tasks in the last step that had any."""
    best_model: dict[str, Tensor] = field(default_factory=dict, compare=False)
    """The model at the best evaluation so far; empty before there was one."""
    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict, compare=False)
    """The model at each evaluation in ``kept_for``."""
    average: dict[str, Tensor] = field(default_factory=dict, compare=False)
    """The average of the weights of steps, of parameters that were trained."""

    def numbers(self) -> dict[str, Any]:
        """Return a copy of all but tensors, as JSON can hold it, by the names in checkpoints."""
        found = {
            name: deepcopy(value)
            for name, value in vars(self).items()
            if name not in ("totals", "pairs", "weights", "best_model", "kept", "average")
        }
        found["gradients"] = deepcopy(self.pairs.norms)
        found["judged"] = found.pop("last_results")
        return found


_OF_TORCH = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop)
_ELEMENTWISE = {*_OF_TORCH, *plain_optimizers.ALL}
"""Optimizers whose states have the shapes of the parameters, and the same keys for each."""
_ADAM = {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
_KEYS = {
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "SGD": {"momentum_buffer"},
    "RMSprop": {"step", "square_avg", "grad_avg", "momentum_buffer"},
}
"""The keys that they may have."""
Modules = Mapping[str, nn.Module]
"""Modules whose states are saved, by the name that begins their tensors' names."""
Saved = tuple[dict[str, Tensor], dict[str, Any]]
"""A saved state: tensors by name, and what JSON can hold."""


def save_state(state: TrainingState, modules: Modules, optimizer: Optimizer) -> Saved:
    """Copy a state, tensors to the CPU.

    Args:
        state: The state.
        modules: Further modules; "model" is the model.
        optimizer: The optimizer.

    Returns:
        Tensors, each under one flat name, and what JSON can hold.
    """
    found: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        found |= {f"{prefix}/{name}": tensor for name, tensor in module.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        found |= {
            f"optimizer/{index}/{key}": _tensor(value)
            for key, value in values.items()
            if value is not None
        }
    totals = {task: _tensor(pair) for task, pair in state.totals.sums().items()}
    pairs = {name: torch.from_numpy(each) for name, each in state.pairs.sums.items()}
    groups = {"totals": totals, "weights": state.weights, "best": state.best_model, "pairs": pairs}
    groups["average"] = state.average
    groups |= {f"kept/{number}": tensors for number, tensors in state.kept.items()}
    for prefix, named in groups.items():
        found |= {f"{prefix}/{name}": tensor for name, tensor in named.items()}
    model = cast("MultiTaskModel", modules["model"])
    header = {
        "progress": state.numbers(),
        "tasks": list(model.tasks.names),
        "enabled": list(model.active_tasks),
        "frozen": model.frozen,
        "held": model.held,
        "reached": model.ownership.seen,
    }
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in found.items()}, header


def load_state(
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    modules: Modules,
    optimizer: Optimizer,
) -> TrainingState:
    """Load a saved state into modules and optimizer, and enable and freeze tasks as they were.

    Args:
        tensors: From `save_state`.
        header: From `save_state`.
        modules: As for `save_state`.
        optimizer: The optimizer.

    Returns:
        The state; its tensors are copies on the model's device.

    Raises:
        InputError: If it is of other tasks, or of another model, balancer, optimizer or version.
    """
    before = save_state(TrainingState(), modules, optimizer)
    try:
        state = _state(tensors, header, cast("MultiTaskModel", modules["model"]))
        _load(tensors, header, modules, optimizer)
    except MALFORMED as error:
        _load(*before, modules, optimizer)  # so that nothing is half loaded
        damaged = f"the state is damaged, or of another version of motet: {reason(error)}"
        raise (error if isinstance(error, InputError) else InputError(damaged)) from None
    return state


def _state(
    tensors: Mapping[str, Tensor], header: Mapping[str, Any], model: MultiTaskModel
) -> TrainingState:
    """Return a saved state; modules and the optimizer stay as they are."""
    if differing := TrainingState().numbers().keys() ^ header["progress"].keys():
        raise InputError(
            f"the state is of another version of motet, as they differ in "
            f"{', '.join(sorted(differing))}; load it with the version that saved it"
        )
    if header["tasks"] != list(model.tasks.names):
        raise InputError(
            f"the state is of the tasks {', '.join(header['tasks'])}, "
            f"expected {', '.join(model.tasks.names)}"
        )
    numbers = deepcopy(dict(header["progress"]))
    results = {task: LastResult(*each) for task, each in numbers.pop("judged").items()}
    device = next(model.parameters()).device
    weights, best, average = (
        {name: tensor.to(device, copy=True) for name, tensor in _under(tensors, prefix)}
        for prefix in ("weights", "best", "average")
    )
    sums = {name: each.clone().numpy() for name, each in _under(tensors, "pairs")}
    pairs = Pairs(numbers.pop("gradients"), sums)
    totals = Totals({task: pair.tolist() for task, pair in _under(tensors, "totals")})
    state = TrainingState(
        **numbers,
        last_results=results,
        totals=totals,
        pairs=pairs,
        weights=weights,
        best_model=best,
        average=average,
    )
    for number in set(state.kept_for.values()):
        found = _under(tensors, f"kept/{number}")
        state.kept[number] = {name: tensor.to(device, copy=True) for name, tensor in found}
    return state


def tensors_and_header(
    saved: Any, header: Mapping[str, Any] | None
) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Accept a saved state as a pair, or as its two halves.

    Returns:
        Tensors and header.

    Raises:
        InputError: If it is not a saved state.
    """
    pair = saved if header is None else (saved, header)
    if (
        isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[1], Mapping)
        and "progress" in pair[1]
    ):
        return pair
    raise InputError(
        f"state: found {type(saved).__name__}, expected what trainer.state() returned: "
        "(tensors, header)"
    )


def _load(
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    modules: Modules,
    optimizer: Optimizer,
) -> None:
    _load_modules(tensors, modules)
    _load_optimizer(tensors, optimizer)
    _load_tasks(header, cast("MultiTaskModel", modules["model"]))


def _load_modules(tensors: Mapping[str, Tensor], modules: Modules) -> None:
    for prefix, module in modules.items():
        own = dict(_under(tensors, prefix))
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the checkpoint holds another {prefix}: {reason}") from None


def _load_optimizer(tensors: Mapping[str, Tensor], optimizer: Optimizer) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under(tensors, "optimizer"):
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = tensor.clone()  # the optimizer does not copy it
    if type(optimizer) in _ELEMENTWISE:
        _check_optimizer(state, optimizer)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_optimizer(state: Mapping[int, Mapping[str, Tensor]], optimizer: Optimizer) -> None:
    """Refuse a state that would fail, or go into other elements, at the next step."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    for index, values in state.items():
        shapes = {key: tuple(tensor.shape) for key, tensor in values.items()}
        own = tuple(parameters[index].shape)
        expected = {key: () if key == "step" else own for key in next(iter(state.values()))}
        if shapes != expected or not shapes.keys() <= _KEYS[type(optimizer).__name__]:
            raise InputError(
                f"the checkpoint holds another optimizer: found {shapes} for a parameter {own}"
            )


def _load_tasks(header: Mapping[str, Any], model: MultiTaskModel) -> None:
    """Enable and freeze what was enabled and frozen."""
    for name in model.tasks.names:
        enable = name in header["enabled"]
        (model.enable_task if enable else model.disable_task)(name)
    model.unfreeze(*(name for name, _ in model.named_parameters()))
    model.freeze(*header["frozen"])
    model.freeze(*header["held"], evaluation=True)
    model.ownership.add(header["reached"])


def _under(tensors: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}/"):
            yield name.removeprefix(f"{prefix}/"), tensor


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
