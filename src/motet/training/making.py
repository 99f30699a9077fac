"""From names and options to what a trainer works with: device, balancer, optimizer."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.balancing import Balancer, LossBalancer, PenalizesNorms, ReadsNorms
from motet.balancing import create as create_balancer
from motet.model import MultiTaskModel
from motet.options import create
from motet.problems import InputError
from motet.registry import OPTIMIZERS
from motet.tasks import Task
from motet.training.optimizers import OptimizerFactory, parameter_groups, scale_rates

Chosen = str | Mapping[str, Any]
"""A member's name, or ``{"type": name, option: value, ...}``."""


def warn_of_units(task: Task, target: Tensor) -> None:
    """Warn of numbers in a unit that makes their loss drown the other tasks'."""
    if task.labels != "number" or getattr(task, "scaling", None) is not None:
        return
    known = target[~target.isnan()].double()
    mean, std = float(known.mean()), float(known.std(correction=0))
    if abs(mean) > 10 or not 0.01 < std < 10:
        warnings.warn(
            f"the targets of {task.name!r} have mean {mean:.4g} and standard deviation {std:.4g}, "
            "so its loss may drown the other tasks' or take long to learn; train on (y - mean) / "
            f"std with {type(task).__name__}({task.name!r}, scaling=(mean, std)), which predicts "
            "in the original unit",
            stacklevel=4,
        )


def spelled_out(chosen: Chosen) -> tuple[str, dict[str, Any]]:
    """Return name and options of a chosen member."""
    if isinstance(chosen, str):
        return chosen, {}
    options = dict(chosen)
    if "type" not in options:
        raise InputError(f'found {options}, expected {{"type": name, option: value, ...}}')
    return options.pop("type"), options


def device_of(name: str) -> torch.device:
    """Return a device that can be used; "auto" is a GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used here: {reason}") from None
    return device


def make_balancer(chosen: Balancer | Chosen, model: MultiTaskModel) -> Balancer:
    """Make the balancer of a model's tasks, with what it reads of them filled in.

    Returns:
        The balancer.

    Raises:
        InputError: If it does not fit the tasks.
    """
    names = model.tasks.names
    if isinstance(chosen, Balancer):
        balancer = chosen
        if set(balancer.tasks) != set(names):
            raise InputError(
                f"the balancer has the tasks {', '.join(balancer.tasks)}, "
                f"expected those of the model: {', '.join(names)}"
            )
    else:
        name, options = spelled_out(chosen)
        balancer = create_balancer(name, model.tasks, **options)
    _warn_of_nothing_shared(balancer, model)
    return balancer


def _warn_of_nothing_shared(balancer: Balancer, model: MultiTaskModel) -> None:
    reads_gradients = not isinstance(balancer, LossBalancer) or isinstance(
        balancer, ReadsNorms | PenalizesNorms
    )
    if not reads_gradients or len(model.tasks.names) == 1:
        return
    if not model.shared_parameters():
        warnings.warn(
            f"the tasks share no parameter, so {type(balancer).__name__} has nothing to balance: "
            "each task follows its own gradient; choose balancing: equal, which costs less",
            stacklevel=4,
        )


def make_optimizer(
    chosen: Chosen | OptimizerFactory,
    learning_rate: float | None,
    model: MultiTaskModel,
    balancers: nn.Module,
    **grouping: float | None,
) -> torch.optim.Optimizer:
    """Make the optimizer of a model and its balancers; ``grouping`` goes to `parameter_groups`."""
    groups = parameter_groups(model, balancers, **grouping)
    if callable(chosen):
        if learning_rate is not None:
            groups = [{"lr": learning_rate, **group} for group in groups]
        return scale_rates(chosen(groups))
    name, options = spelled_out(chosen)
    if learning_rate is not None:
        if options.get("learning_rate", learning_rate) != learning_rate:
            raise InputError(
                f"learning_rate is {learning_rate}, but the optimizer's is "
                f"{options['learning_rate']}; give one of them"
            )
        options["learning_rate"] = learning_rate
    optimizer: torch.optim.Optimizer = create(OPTIMIZERS, name, groups, **options)
    return scale_rates(optimizer)
