"""How losses after an optimizer step depend on the weights that the step was made with.

The step is computed, but not taken: parameters, BatchNorm's averages and random generators stay.
That costs a forward and a backward pass on each of two batches, and one pass in forward mode, which
gives all inner products with task gradients at once, without computing those. Several processes,
each with losses of its own rows, make a backward pass per task in its place.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.optim import SGD, Adam, AdamW, Optimizer

from motet.processes import ALONE, Processes

Losses = Callable[[], Mapping[str, Tensor]]
"""Computes the losses of a batch with a module, by task."""
Tensors = Mapping[str, Tensor]
R = TypeVar("R")


def sensitivities(
    module: nn.Module,
    optimizer: Optimizer,
    train: Losses,
    after: Losses,
    weights: Mapping[str, float],
    processes: Processes = ALONE,
) -> Tensors:
    """Compute how much the sum of some losses after a step falls per unit of each task's weight.

    With θ' = θ - step(Σ w_k g_k) and v the gradient of the losses ``after`` at θ', these are
    ⟨v ⊙ ∂step/∂g, g_k⟩; g_k does not depend on the weights, so there is no Hessian. For Adam, AdamW
    and SGD the step and its derivative are exact, with momentum and weight decay; for other
    optimizers they are those of plain gradient descent.

    Args:
        module: Has the parameters; ``train`` and ``after`` call it.
        optimizer: Would make the step.
        train: Losses of the step's batch.
        after: Losses after the step, of another batch.
        weights: Weight of each task.
        processes: Processes over which gradients are averaged; ``train`` and ``after`` return the
            same tasks on each.

    Returns:
        A number for each task of ``train``; empty if nothing is trained or no loss is given.
    """
    own = {name: p for name, p in module.named_parameters() if p.requires_grad}
    tasks: list[str] = []

    def before() -> Tensors | None:
        losses = train()
        tasks.extend(_trained(losses, processes))
        return _total_gradients([weights[task] * losses[task] for task in tasks], own, processes)

    def behind() -> Tensors | None:
        losses = after()
        seen = [losses[task] for task in _trained(losses, processes)]
        return _total_gradients(seen, moved, processes)

    gradients = _call(module, own, before)
    if gradients is None:
        return {}
    moved, slopes = _try_step(optimizer, own, gradients)
    direction = _call(module, moved, behind)
    if direction is None:
        return {}
    tangents = {name: each * slopes[name] for name, each in direction.items()}
    if not processes.several:
        return _products(module, own, train, tangents, tasks)
    found = _call(module, own, lambda: _products_by_task(train(), own, tangents, tasks))
    means = processes.total(torch.stack(list(found.values()))) / processes.count
    return dict(zip(found, means.unbind(), strict=True))


def _trained(losses: Tensors, processes: Processes) -> list[str]:
    """Return the tasks whose loss has a graph on some process."""
    some = processes.any([loss.requires_grad for loss in losses.values()])
    return [task for task, here in zip(losses, some, strict=True) if here]


def _products(
    module: nn.Module, own: Tensors, train: Losses, tangents: Tensors, tasks: list[str]
) -> Tensors:
    """Return the inner product of each task's gradient with ``tangents``."""
    try:
        _make_ready()
        with forward_ad.dual_level():
            duals = {n: _dual(p.detach(), tangents[n]) for n, p in own.items()}
            found = _call(module, duals, train)
            unpacked = {task: _tangent(found[task]) for task in tasks}
            return {
                task: torch.zeros(()) if tangent is None else _wide(tangent.detach())
                for task, tangent in unpacked.items()
            }
    except RuntimeError:  # an operation without forward mode: a backward pass per task, exact too
        return _call(module, own, lambda: _products_by_task(train(), own, tangents, tasks))


def _products_by_task(
    losses: Tensors, own: Tensors, tangents: Tensors, tasks: list[str]
) -> Tensors:
    return {
        task: sum(
            (
                (_wide(each) * _wide(tangents[name])).sum()
                for name, each in _gradients(losses[task], own, retain=True).items()
            ),
            torch.zeros(()),
        )
        for task in tasks
    }


@cache
def _make_ready() -> None:
    """Let torch import what forward mode needs, once, without a warning about itself."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        _dual(torch.zeros(()), torch.zeros(()))


def _dual(primal: Tensor, tangent: Tensor) -> Tensor:
    dual: Tensor = forward_ad.make_dual(primal, tangent)  # type: ignore[no-untyped-call]  # torch's
    return dual


def _tangent(dual: Tensor) -> Tensor | None:
    found: Tensor | None = forward_ad.unpack_dual(dual).tangent  # type: ignore[no-untyped-call]
    return found


class _Around(nn.Module):
    """A computation with a module, so that the module's tensors can be exchanged for it."""

    def __init__(self, module: nn.Module, compute: Callable[[], Any]) -> None:
        super().__init__()
        self.module, self.compute = module, compute

    def forward(self) -> Any:
        return self.compute()


def _call(module: nn.Module, parameters: Tensors, compute: Callable[[], R]) -> R:
    """Compute something with other parameters; averages and generators stay as they were.

    A checkpointed module runs again in a backward pass, which belongs here, too.

    Args:
        module: The module.
        parameters: Its parameters meanwhile, by name.
        compute: Calls the module.

    Returns:
        What was computed.
    """
    buffers = {name: each.clone() for name, each in module.named_buffers()}
    tensors = {f"module.{name}": each for name, each in {**parameters, **buffers}.items()}
    devices = {p.device for p in parameters.values() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
        found: R = functional_call(_Around(module, compute), tensors, ())
    return found


def _total_gradients(
    losses: list[Tensor], parameters: Tensors, processes: Processes
) -> Tensors | None:
    """Return the gradients of the sum of some losses; None if there are none."""
    if not losses:
        return None
    found = _gradients(torch.stack([_wide(loss) for loss in losses]).sum(), parameters)
    if processes.several:
        found = {name: each.clone() for name, each in found.items()}  # as they may share memory
        processes.average(list(found.values()))
    return found


def _gradients(total: Tensor, parameters: Tensors, *, retain: bool = False) -> Tensors:
    """Return gradients by name, dense, 0 for parameters that are not reached."""
    if not total.requires_grad:  # of rows of other processes
        return {name: torch.zeros_like(p) for name, p in parameters.items()}
    found = torch.autograd.grad(
        total, list(parameters.values()), allow_unused=True, retain_graph=retain
    )
    return {
        name: torch.zeros_like(p) if g is None else _dense(g)
        for (name, p), g in zip(parameters.items(), found, strict=True)
    }


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _dense(tensor: Tensor) -> Tensor:
    return tensor.to_dense() if tensor.is_sparse else tensor


def _try_step(optimizer: Optimizer, own: Tensors, gradients: Tensors) -> tuple[Tensors, Tensors]:
    """Return parameters after a step, and the derivative of each number's step by its gradient."""
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    moved, slopes = {}, {}
    with torch.no_grad():
        for name, parameter in own.items():
            group = groups.get(id(parameter))
            if group is None:  # another optimizer's
                step, slope = torch.zeros_like(parameter), torch.zeros_like(parameter)
            else:
                form = _adam if isinstance(optimizer, Adam | AdamW) else _descent
                state = optimizer.state.get(parameter, {})
                step, slope = form(optimizer, group, state, parameter, gradients[name])
            moved[name] = (parameter - step).requires_grad_()
            slopes[name] = slope
    return moved, slopes


Form = tuple[Tensor, Tensor]


def _descent(
    optimizer: Optimizer, group: dict[str, Any], state: Mapping[str, Any], p: Tensor, g: Tensor
) -> Form:
    rate = torch.ones_like(p) * group["lr"]
    if not isinstance(optimizer, SGD):
        return rate * g, rate
    g = g + group["weight_decay"] * p
    momentum, before = group["momentum"], state.get("momentum_buffer")
    share = 1 if before is None else 1 - group["dampening"]
    average = g if before is None else momentum * _dense(before) + share * g
    if not momentum:
        return rate * g, rate
    if group["nesterov"]:
        return rate * (g + momentum * average), rate * (1 + momentum * share)
    return rate * average, rate * share


def _adam(
    optimizer: Optimizer, group: dict[str, Any], state: Mapping[str, Any], p: Tensor, g: Tensor
) -> Form:
    (beta1, beta2), rate, decay = group["betas"], group["lr"], group["weight_decay"]
    decoupled = isinstance(optimizer, AdamW) or group.get("decoupled_weight_decay", False)
    g = g if decoupled else g + decay * p
    steps = state["step"] + 1 if state else 1  # a tensor, which may be on the device
    zero = torch.zeros_like(p)
    mean = beta1 * state.get("exp_avg", zero) + (1 - beta1) * g
    square = beta2 * state.get("exp_avg_sq", zero) + (1 - beta2) * g * g
    by_square = 2 * (1 - beta2) * g
    if group["amsgrad"] and state:
        largest = torch.maximum(state["max_exp_avg_sq"], square)
        by_square = torch.where(largest > square, 0.0, by_square)
        square = largest
    mean, by_mean = mean / (1 - beta1**steps), (1 - beta1) / (1 - beta1**steps)
    root = (square / (1 - beta2**steps)).sqrt()
    by_root = torch.where(root > 0, by_square / (1 - beta2**steps) / (2 * root), 0.0)
    below = root + group["eps"]
    step = rate * mean / below + (rate * decay * p if decoupled else 0)
    return step, rate * (by_mean / below - mean * by_root / below.square())
