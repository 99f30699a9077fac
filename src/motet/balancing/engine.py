"""The backward pass on behalf of a balancer: from several losses to one gradient.

``backward`` takes the place of ``sum(losses).backward()`` in any training loop. It is the only code
that touches autograd for a balancer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Balancer, LossBalancer
from motet.problems import InputError, hint


@dataclass(frozen=True)
class BackwardResult:
    """What one call of `backward` did."""

    tasks: tuple[str, ...]
    """Tasks that took part."""
    losses: dict[str, Tensor]
    """Their losses, detached."""
    weights: dict[str, Tensor]
    """How much each task counted: d total / d loss."""
    path: str
    """How the gradient was computed; "loss" is one backward pass of the combined loss."""


def backward(
    losses: Mapping[str, Tensor] | Sequence[Tensor],
    balancer: Balancer,
    *,
    penalty: Tensor | None = None,
) -> BackwardResult:
    """Add the balanced gradient of several losses to ``.grad``, as ``loss.backward()`` would.

    One backward pass, whatever the number of tasks. Parameters of the balancer itself get their
    gradient too.

    Args:
        losses: A scalar loss per task, by name, or in the order of ``balancer.tasks``. Tasks may be
            left out of a mapping; their state in the balancer stays as it is.
        balancer: What combines the losses.
        penalty: A scalar added after balancing, unweighted, such as a scheme's regulariser.

    Returns:
        The weights used, and the losses.

    Raises:
        InputError: If a loss is not scalar, has no graph or names no task of the balancer.

    Example:
        >>> from motet.balancing import create
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> balancer = create("manual", tasks=["a", "b"], weights={"a": 1.0, "b": 3.0})
        >>> result = backward({"a": x**2, "b": x}, balancer)
        >>> x.grad, result.weights["b"]
        (tensor(7.), tensor(3.))
    """
    if not isinstance(balancer, LossBalancer):
        raise InputError(f"balancer is {balancer!r}, expected a motet balancer")
    named = _named(losses, balancer.tasks)
    values = torch.stack(
        [loss.to(torch.promote_types(loss.dtype, torch.float32)) for loss in named.values()]
    )
    present = torch.tensor([balancer.tasks.index(task) for task in named], device=values.device)
    read = values.detach().requires_grad_()
    torch.autograd.backward([balancer(read, present)])
    if read.grad is None:
        name = type(balancer).__name__
        raise InputError(
            f"the total of {name} does not depend on the losses, so nothing would train"
        )
    weights = read.grad
    if penalty is None:
        torch.autograd.backward([values], [weights])
    else:
        torch.autograd.backward([values, penalty], [weights, torch.ones_like(penalty)])
    return BackwardResult(
        tasks=tuple(named),
        losses=dict(zip(named, values.detach().unbind(), strict=True)),
        weights=dict(zip(named, weights.unbind(), strict=True)),
        path="loss",
    )


def _named(
    losses: Mapping[str, Tensor] | Sequence[Tensor], tasks: Sequence[str]
) -> dict[str, Tensor]:
    if not isinstance(losses, Mapping):
        if len(losses) != len(tasks):
            raise InputError(
                f"found {len(losses)} losses, expected {len(tasks)}: {', '.join(tasks)}. "
                "To leave tasks out, give a mapping of task names to losses."
            )
        losses = dict(zip(tasks, losses, strict=True))
    if not losses:
        raise InputError("found no loss, expected at least one")
    for task, loss in losses.items():
        if task not in tasks:
            raise InputError(f"found a loss for {task!r}, which is no task; {hint(task, tasks)}")
        if loss.dim() != 0:
            raise InputError(
                f"the loss of {task!r} has shape {tuple(loss.shape)}, expected a scalar; "
                "reduce it first, e.g. with `.mean()`"
            )
        if not loss.requires_grad:
            raise InputError(
                f"the loss of {task!r} has no graph: it depends on no parameter that trains; "
                "leave the task out, or check for `detach()` and `no_grad()` before it"
            )
    return dict(losses)
