"""Members chosen by name, with or without options, or given as objects."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from motet import balancing, scheduling
from motet.balancing import Balancer
from motet.model import MultiTaskModel
from motet.options import create, name_and_options
from motet.problems import InputError
from motet.registry import OPTIMIZERS
from motet.scheduling import Scheduler
from motet.training.parameter_groups import OptimizerFactory, parameter_groups, scale_rates

MemberChoice = str | Mapping[str, Any]
"""A member's name, or ``{"type": name, option: value, ...}``."""


def create_balancer(choice: Balancer | MemberChoice, model: MultiTaskModel) -> Balancer:
    """Create the balancer of a model's tasks, with the options that it reads from them.

    Returns:
        The balancer; one that exists already as it is.

    Raises:
        InputError: If it does not fit the tasks.
    """
    tasks = [task for task in model.tasks if task.balanced]
    if not tasks:
        raise InputError(
            "the model has only auxiliary tasks beside the balancer, "
            f"{', '.join(model.tasks.names)}; add a task with labels, or give one balanced: true"
        )
    names = [task.name for task in tasks]
    if isinstance(choice, Balancer):
        balancer = choice
        if set(balancer.tasks) != set(names):
            raise InputError(
                f"the balancer has the tasks {', '.join(balancer.tasks)}, "
                f"expected those of the model: {', '.join(names)}"
            )
    else:
        name, options = name_and_options(choice)
        balancer = balancing.create(name, tasks, **options)
    _warn_if_nothing_is_shared(balancer, model)
    return balancer


def create_scheduler(choice: Scheduler | MemberChoice, model: MultiTaskModel) -> Scheduler:
    """Create the scheduler of a model's tasks.

    Returns:
        The scheduler; one that exists already as it is.

    Raises:
        InputError: If a name or option is unknown or wrong, or it is of other tasks.
    """
    names = [task.name for task in model.tasks if task.label_kind.given]
    if isinstance(choice, Mapping) and isinstance(choice.get("type"), Scheduler):
        options = dict(choice)
        choice = scheduling.combined(options.pop("type"), options.pop("combine", None))
        if options:
            raise InputError(
                f"found options beside a scheduler object; remove {', '.join(options)}",
                option="scheduling",
            )
    elif not isinstance(choice, Scheduler):
        name, options = name_and_options(choice)
        return scheduling.create(name, names, **options)
    choice = scheduling.combined(choice, choice.combine)
    if set(choice.tasks) != set(names):
        raise InputError(
            f"found a scheduler of the tasks {', '.join(choice.tasks)}; expected those of the "
            f"model: {', '.join(names)}",
            option="scheduling",
        )
    return choice


def create_optimizer(
    choice: MemberChoice | OptimizerFactory,
    learning_rate: float | None,
    model: MultiTaskModel,
    balancers: nn.Module,
    **grouping: float | None,
) -> torch.optim.Optimizer:
    """Create an optimizer.

    Args:
        choice: Its name, its options, or a function from parameter groups to an optimizer.
        learning_rate: Learning rate of groups without their own; the optimizer's default if left
            out.
        model: The model.
        balancers: Their parameters are trained as well.
        grouping: Arguments of `parameter_groups`.

    Returns:
        The optimizer.

    Raises:
        InputError: If it does not exist, an option is wrong, or two learning rates are given.
    """
    groups = parameter_groups(model, balancers, **grouping)
    if callable(choice):
        if learning_rate is not None:
            groups = [{"lr": learning_rate, **group} for group in groups]
        return scale_rates(choice(groups))
    name, options = name_and_options(choice)
    if learning_rate is not None:
        if options.get("learning_rate", learning_rate) != learning_rate:
            raise InputError(
                f"found {learning_rate}, but the optimizer's is {options['learning_rate']}; give "
                "one of them",
                option="learning_rate",
            )
        options["learning_rate"] = learning_rate
    optimizer: torch.optim.Optimizer = create(OPTIMIZERS, name, groups, **options)
    return scale_rates(optimizer)


def _warn_if_nothing_is_shared(balancer: Balancer, model: MultiTaskModel) -> None:
    if not balancer.needs.gradients or len(model.tasks.names) == 1:
        return
    if not model.shared_parameters():
        warnings.warn(
            f"the tasks share no parameter, so {type(balancer).__name__} has nothing to balance: "
            "each task follows its own gradient; choose balancing: equal, which costs less",
            stacklevel=4,
        )
