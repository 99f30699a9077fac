"""Optimizers by name."""

from torch.optim import Optimizer

from motet.options import Fraction, NonNegativeFloat, PositiveFloat, StrictBool, checked
from motet.problems import InputError
from motet.training import plain_optimizers
from motet.training.parameter_groups import Groups


@checked
def adamw(
    groups: Groups,
    *,
    learning_rate: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 1e-2,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: PositiveFloat = 1e-8,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101).

    Args:
        groups: Parameter groups.
        learning_rate: Step size.
        weight_decay: Decay per step, times the learning rate.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the root of the average square.

    Returns:
        The optimizer.
    """
    return plain_optimizers.AdamW(
        groups,
        lr=learning_rate,
        weight_decay=weight_decay,
        betas=betas,
        eps=eps,
        fused=True,
    )


@checked
def adam(
    groups: Groups,
    *,
    learning_rate: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: PositiveFloat = 1e-8,
) -> Optimizer:
    """Adam (Kingma & Ba, ICLR 2015, arXiv:1412.6980), its weight decay a part of the gradient.

    Args:
        groups: Parameter groups.
        learning_rate: Step size.
        weight_decay: L2 penalty, added to the gradient.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the root of the average square.

    Returns:
        The optimizer.
    """
    return plain_optimizers.Adam(
        groups,
        lr=learning_rate,
        weight_decay=weight_decay,
        betas=betas,
        eps=eps,
        fused=True,
    )


@checked
def sgd(
    groups: Groups,
    *,
    learning_rate: PositiveFloat = 1e-2,
    momentum: Fraction = 0.9,
    nesterov: StrictBool = False,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Stochastic gradient descent with momentum.

    Args:
        groups: Parameter groups.
        learning_rate: Step size.
        momentum: Share of the last step that is kept.
        nesterov: Whether the gradient is taken after the momentum step.
        weight_decay: L2 penalty, added to the gradient.

    Returns:
        The optimizer.

    Raises:
        InputError: If ``nesterov`` is asked for without momentum.
    """
    if nesterov and not momentum:
        raise InputError(
            "applies only with momentum > 0; set momentum or remove nesterov", option="nesterov"
        )
    return plain_optimizers.SGD(
        groups,
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        fused=not momentum,  # torch's fused momentum fails where a first gradient comes late
    )


@checked
def rmsprop(
    groups: Groups,
    *,
    learning_rate: PositiveFloat = 1e-3,
    alpha: Fraction = 0.99,
    momentum: Fraction = 0.0,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Gradient over the root of its average square (Tieleman & Hinton, 2012).

    Args:
        groups: Parameter groups.
        learning_rate: Step size.
        alpha: Decay of the average square.
        momentum: Share of the last step that is kept.
        weight_decay: L2 penalty, added to the gradient.

    Returns:
        The optimizer.
    """
    return plain_optimizers.RMSprop(
        groups, lr=learning_rate, alpha=alpha, momentum=momentum, weight_decay=weight_decay
    )
