"""From task gradients to weights or a direction, each component on its own.

Tasks that reach no common leaf, directly or through others, have nothing to balance between them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from motet.balancing.engine.call import Call, stacked
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.rows import Rows
from motet.balancing.families import (
    Balancer,
    GramianBalancer,
    JacobianBalancer,
    ReadsNorms,
)
from motet.balancing.solvers.solution import NOT_FINITE, OK
from motet.problems import InputError


@dataclass(frozen=True)
class Solved:
    """What a balancer made of the task gradients."""

    direction: Tensor
    weights: Tensor | None
    gramian: Tensor | None
    status: str
    components: tuple[tuple[str, ...], ...]
    total: Tensor | None = None
    """What a loss balancer made of the losses."""


class Combined(NamedTuple):
    """What a loss balancer made of the losses."""

    weights: Tensor
    """d total / d losses (T',)."""
    total: Tensor
    """Scalar, detached."""
    status: str


def balance(call: Call, rows: Rows) -> Solved:
    """Balance each component on its own."""
    values = call.values()
    groups = rows.components()
    components = tuple(tuple(rows.tasks[place] for place in group) for group in groups)
    needs = call.balancer.needs
    if needs.reads == "losses":
        plain = values.clone()
        weights, total, status = loss_weights(call, values)
        if status == OK and needs.norms is not None:
            lengths = torch.linalg.vector_norm(rows.jacobian, dim=1)
            tell_norms(call.balancer, lengths.to(plain), plain, rows.tasks)
        return Solved(rows.combine(weights), weights, None, status, components, total)
    if needs.reads == "jacobian":
        assert isinstance(call.balancer, JacobianBalancer)
        direction, found, status = _directions(call.balancer, rows, values, groups)
        return Solved(direction, found, None, status, components)
    weights, gramian, status = weigh(call, rows.gramian(), values, groups)
    return Solved(rows.combine(weights), weights, gramian, status, components)


def _directions(
    balancer: JacobianBalancer, rows: Rows, values: Tensor, groups: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor | None, str]:
    """Return the sum of the components' directions (P,), the weights (T',), and the status.

    The direction is in memory of its own.
    """
    total: Tensor | None = None
    weights = torch.ones(len(values), dtype=torch.float64) if balancer.combines else None
    statuses = []
    for group in groups:
        present = torch.tensor(places(balancer, [rows.tasks[place] for place in group]))
        jacobian = rows.jacobian if len(groups) == 1 else rows.jacobian[group]  # else a copy
        direction = balancer(jacobian, values[group], present)
        # a copy, as a balancer may keep what it gives, or give a row
        total = direction.clone() if total is None else total.add_(direction)
        if weights is not None and balancer.weights is not None:
            weights[group] = balancer.weights
        statuses.append(balancer.status)
    assert total is not None
    return total, weights, _joined(statuses)


def weigh(
    call: Call, gramian: Tensor, values: Tensor, groups: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor, str]:
    """Return weights (T',) and Gramian, both on the CPU, and the balancer's status."""
    assert isinstance(call.balancer, GramianBalancer)
    inner, losses = gramian, values
    if gramian.device.type != "cpu":  # the one transfer
        together = torch.cat([gramian.flatten(), values.double().to(gramian.device)]).cpu()
        inner, losses = together[: gramian.numel()].view(gramian.shape), together[gramian.numel() :]
    read = _as_exact_as_rows(inner, values.dtype)
    weights = torch.ones(len(inner), dtype=torch.float64)
    statuses = []
    for group in groups:
        present = torch.tensor(places(call.balancer, [call.tasks[place] for place in group]))
        if len(groups) == 1:
            weights = call.balancer(read, losses, present)
        else:
            weights[group] = call.balancer(read[group][:, group], losses[group], present)
        statuses.append(call.balancer.status)
    return weights, inner, _joined(statuses)


def _as_exact_as_rows(gramian: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a Gramian in the precision of the rows, which says how far it can be trusted.

    Where squares would leave the range of that, the Gramian stays as it is.
    """
    squares = [square for square in gramian.diagonal().tolist() if square > 0]
    limits = torch.finfo(dtype)
    if squares and not limits.tiny / limits.eps < min(squares) <= max(squares) < limits.max:
        return gramian
    return gramian.to(dtype)


def own_weights(call: Call, weights: Tensor | None) -> Tensor | None:
    """Return what the gradients of the tasks' own leaves are multiplied by (T',); None: nothing."""
    if call.weighted or not call.balancer.scales_losses:
        return weights if call.weighted else None
    return call.balancer.loss_scales(torch.tensor(places(call.balancer, call.tasks)))


def teach(call: Call, result: BackwardResult) -> None:
    """Go back to the parameters of a balancer that reads gradients, if it has any."""
    balancer = call.balancer
    present = torch.tensor(places(balancer, result.tasks))
    with torch.enable_grad():
        total = balancer.objective(stacked(list(result.losses.values())), present)
    if total is not None:
        call.go_back([total], call.begin([total]), list(balancer.parameters()))


def solved_result(call: Call, solved: Solved, path: str) -> BackwardResult:
    """Tell what was done."""
    weights = solved.weights
    return call.result(
        weights=None if weights is None else dict(zip(call.tasks, weights.unbind(), strict=True)),
        path=path,
        gramian=solved.gramian,
        status=solved.status,
        components=solved.components,
        combined=solved.total,
    )


def loss_weights(call: Call, values: Tensor) -> Combined:
    """Go back from a loss balancer's total to its parameters, the losses (T'), and their graph.

    Where there is a graph, this is the one pass that accumulates, so it includes the penalty.

    Returns:
        The weights, the total and the status.

    Raises:
        InputError: If the total does not depend on the losses.
    """
    whole = values.requires_grad
    more = [call.penalty] if whole and call.penalty is not None else []
    leaves = [] if whole else list(call.balancer.parameters())  # later ways may reach them again
    if not all(map(math.isfinite, values.tolist())):  # a device sync
        weights = torch.full_like(values, torch.nan)
        if whole:
            call.go_back([values, *more], [weights, *call.begin(more)])
        return Combined(weights, values.new_full((), torch.nan), NOT_FINITE)
    present = None
    if call.tasks != call.balancer.tasks:
        present = torch.tensor(places(call.balancer, call.tasks), device=values.device)
    values.requires_grad_().retain_grad()
    with torch.enable_grad():
        total = call.balancer(values, present)
    if total.requires_grad:
        outputs = [total, *more]
        call.go_back(outputs, None if call.scale == 1 else call.begin(outputs), leaves)
    if values.grad is None:
        name = type(call.balancer).__name__
        raise InputError(f"the total of {name} does not depend on the losses: nothing would train")
    weights = values.grad if call.scale == 1 else values.grad / call.scale
    return Combined(weights, total.detach(), OK)


def tell_norms(balancer: Balancer, norms: Tensor, values: Tensor, tasks: Sequence[str]) -> None:
    """Tell norms of gradients (T',) and the losses (T',), unless a norm is not finite."""
    if norms.isfinite().all():  # a device sync
        present = torch.tensor(places(balancer, tasks), device=values.device)
        cast(ReadsNorms, balancer).observe_norms(norms, values, present)


def places(balancer: Balancer, tasks: Sequence[str]) -> list[int]:
    """Return the indices of tasks in a balancer's order."""
    return [balancer.tasks.index(task) for task in tasks]


def _joined(statuses: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(status for status in statuses if status != OK)) or OK
