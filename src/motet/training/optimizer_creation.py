"""The optimizer of a model and its balancers, from a name or a function."""

import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.options import create
from motet.problems import InputError
from motet.registry import OPTIMIZERS
from motet.training.choices import MemberChoice, name_and_options
from motet.training.parameter_groups import OptimizerFactory, parameter_groups, scale_rates


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
        learning_rate: Learning rate of groups that have none of their own; the optimizer's default
            if left out.
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
