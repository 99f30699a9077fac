"""Computes weights or a direction from task gradients, each component on its own.

Tasks that reach no common leaf, directly or through others, have nothing to balance between them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall, stacked
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.joined_rows import JoinedRows, OwnRows, average_rows
from motet.balancing.engine.result import BackwardResult
from motet.balancing.families import (
    Balancer,
    GradientBalancer,
    GramianBalancer,
    JacobianBalancer,
    ReadsNorms,
)
from motet.balancing.solvers.solution import NOT_FINITE, OK
from motet.problems import InputError


@dataclass(frozen=True)
class Solved:
    """The direction that a balancer found from the task gradients."""

    direction: Tensor
    weights: Tensor | None
    gramian: Tensor | None
    status: str
    components: tuple[tuple[str, ...], ...]
    total: Tensor | None = None
    """The total of a loss balancer."""
    inner: Tensor | None = None
    """Weights (T',) that a loss balancer inside gave to the losses."""


class Weighed(NamedTuple):
    """The weights that a Gramian balancer found, all on the CPU."""

    weights: Tensor
    """Weights (T',) of the losses."""
    gramian: Tensor
    status: str
    inner: Tensor | None
    """Their factors (T',) from a loss balancer inside."""


class Combined(NamedTuple):
    """The total of a loss balancer, and its slopes."""

    weights: Tensor
    """d total / d losses (T',)."""
    total: Tensor
    """Scalar, detached."""
    status: str


def balance(call: BackwardCall, rows: GradientRows, *, in_place: bool = False) -> Solved:
    """Balance each component on its own; ``in_place``, the rows may be overwritten."""
    values = call.values()
    needs = call.balancer.needs
    joined = join_rows(call, rows) if call.processes.several else rows
    groups = rows.components()
    components = tuple(tuple(rows.tasks[place] for place in group) for group in groups)
    if needs.reads == "losses":
        plain = values.clone()
        weights, total, status = loss_weights(call, values)
        if status == OK and needs.norms is not None:
            lengths = joined.gramian().diagonal().sqrt()
            report_norms(call.balancer, lengths.to(plain), plain, rows.tasks)
        return Solved(joined.combine(weights), weights, None, status, components, total)
    if needs.reads == "jacobian":
        assert isinstance(call.balancer, JacobianBalancer)
        inner = inner_weights(call)
        direction, found, status = _directions(
            call.balancer, rows, values, groups, inner, in_place=in_place
        )
        return Solved(direction, found, None, status, components, inner=inner)
    dtype = rows.jacobian.dtype
    weights, gramian, status, inner = weigh(call, joined.gramian(), values, groups, dtype)
    return Solved(joined.combine(weights), weights, gramian, status, components, inner=inner)


def join_rows(call: BackwardCall, rows: GradientRows) -> GradientRows | JoinedRows | OwnRows:
    """Return the rows of all of several processes."""
    if call.shares_columns:
        return JoinedRows(rows, call.processes)
    if call.at == "representation":
        return OwnRows(rows, call.processes)
    average_rows(rows, call.processes)
    return rows


def _directions(
    balancer: JacobianBalancer,
    rows: GradientRows,
    values: Tensor,
    groups: Sequence[Sequence[int]],
    inner: Tensor | None,
    *,
    in_place: bool,
) -> tuple[Tensor, Tensor | None, str]:
    """Return the sum of the components' directions (P,), the weights (T',), and the status.

    The direction has its own memory.
    """
    total: Tensor | None = None
    weights = torch.ones(len(values), dtype=torch.float64) if balancer.combines else None
    statuses = []
    for group in groups:
        present = torch.tensor(places(balancer, [rows.tasks[place] for place in group]))
        whole = len(groups) == 1
        jacobian = rows.jacobian if whole else rows.jacobian[group]  # else a copy
        direction = balancer(
            jacobian,
            values[group],
            present,
            None if inner is None else inner[group],
            in_place=in_place or not whole,
            holders=rows.processes,
        )
        if total is None:
            total = direction if balancer.fresh else direction.clone()
        else:
            total.add_(direction)
        if weights is not None and balancer.weights is not None:
            weights[group] = balancer.weights
        statuses.append(balancer.status)
    assert total is not None
    return total, weights, _joined(statuses)


def weigh(
    call: BackwardCall,
    gramian: Tensor,
    values: Tensor,
    groups: Sequence[Sequence[int]],
    dtype: torch.dtype,
) -> Weighed:
    """Weigh each component on its own, by inner products of rows of a dtype."""
    assert isinstance(call.balancer, GramianBalancer)
    factors = inner_weights(call)
    inner, losses = gramian, values
    if gramian.device.type != "cpu":  # the one transfer
        together = torch.cat([gramian.flatten(), values.double().to(gramian.device)]).cpu()
        inner, losses = together[: gramian.numel()].view(gramian.shape), together[gramian.numel() :]
    factors = None if factors is None else factors.cpu()
    # a loss in float64 of a float32 network, as of float64 targets, has gradients in float32
    read = as_exact_as_rows(inner, dtype if values.dtype == torch.float64 else values.dtype)
    weights = torch.ones(len(inner), dtype=torch.float64)
    statuses = []
    for group in groups:
        present = torch.tensor(places(call.balancer, [call.tasks[place] for place in group]))
        if len(groups) == 1:
            weights = call.balancer(read, losses, present, factors)
        else:
            mine = None if factors is None else factors[group]
            weights[group] = call.balancer(read[group][:, group], losses[group], present, mine)
        statuses.append(call.balancer.status)
    return Weighed(weights, inner, _joined(statuses), factors)


def inner_weights(call: BackwardCall) -> Tensor | None:
    """Return the weights (T',) that a loss balancer inside gives to the losses; None without one.

    It makes its step, once for all components, and its parameters get their gradient.
    """
    if call.balancer.needs.inner is None:
        return None
    assert isinstance(call.balancer, GradientBalancer)
    assert call.balancer.losses is not None
    inner = replace(call, balancer=call.balancer.losses)
    return loss_weights(inner, call.values()).weights


def as_exact_as_rows(gramian: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a Gramian in the precision of the rows, so that solvers know its rounding.

    Where squares would leave the range of that precision, the Gramian stays as it is.
    """
    squares = [square for square in gramian.diagonal().tolist() if square > 0]
    limits = torch.finfo(dtype)
    if squares and not limits.tiny / limits.eps < min(squares) <= max(squares) < limits.max:
        return gramian
    return gramian.to(dtype)


def own_weights(call: BackwardCall, weights: Tensor | None, inner: Tensor | None) -> Tensor | None:
    """Return the factors (T',) of the gradients of the tasks' own leaves; None stands for 1."""
    if call.weighted or not call.balancer.needs.scales_losses:
        return weights if call.weighted else None
    if inner is not None:
        return inner
    return call.balancer.loss_scales(torch.tensor(places(call.balancer, call.tasks)))


def differentiate_objective(call: BackwardCall, result: BackwardResult) -> None:
    """Compute gradients of the parameters of a balancer that reads gradients, if it has any."""
    balancer = call.balancer
    if type(balancer).objective is Balancer.objective:
        return  # as of nearly all
    present = torch.tensor(places(balancer, result.tasks))
    with torch.enable_grad():
        total = balancer.objective(stacked(list(result.losses.values())), present)
    if total is not None:
        call.accumulate([total], call.start([total]), list(balancer.parameters()))


def solved_result(call: BackwardCall, solved: Solved, path: str) -> BackwardResult:
    """Return what was done."""
    weights = solved.weights
    return call.result(
        weights=None if weights is None else dict(zip(call.tasks, weights.unbind(), strict=True)),
        path=path,
        gramian=solved.gramian,
        status=solved.status,
        components=solved.components,
        combined=solved.total,
    )


def loss_weights(call: BackwardCall, values: Tensor, *, through: bool = False) -> Combined:
    """Differentiate a loss balancer's total by its parameters and the losses (T'), into `.grad`.

    Args:
        call: The call.
        values: The losses.
        through: Whether the pass continues through the graph of the losses, and includes the
            penalty.

    Returns:
        The weights, the total and the status.

    Raises:
        InputError: If the total does not depend on the losses.
    """
    more = [call.penalty] if through and call.penalty is not None else []
    if not all(map(math.isfinite, values.tolist())):  # a device sync
        weights = torch.full_like(values, torch.nan)
        if through:
            call.minimise([values, *more], [weights, *call.start(more)])
        return Combined(weights, values.new_full((), torch.nan), NOT_FINITE)
    present = None
    if call.tasks != call.balancer.tasks:
        present = torch.tensor(places(call.balancer, call.tasks), device=values.device)
    values.requires_grad_().retain_grad()
    with torch.enable_grad():
        total = call.balancer(values, present)
    if total.requires_grad:
        outputs = [total, *more]
        start = None if call.scale == 1 else call.start(outputs)
        if through and call.processes.several:
            alike = [*call.balancer.parameters(), *([values] if values.is_leaf else [])]
            call.minimise(outputs, start, also=alike)
        else:  # later passes may reach the balancer's parameters again
            call.accumulate(outputs, start, [] if through else list(call.balancer.parameters()))
    if values.grad is None:
        name = type(call.balancer).__name__
        raise InputError(f"the total of {name} does not depend on the losses: nothing would train")
    weights = values.grad if call.scale == 1 else values.grad / call.scale
    return Combined(weights, total.detach(), OK)


def report_norms(balancer: Balancer, norms: Tensor, values: Tensor, tasks: Sequence[str]) -> None:
    """Report norms (T',) and losses (T',) to the balancer, if all norms are finite."""
    if norms.isfinite().all():  # a device sync
        present = torch.tensor(places(balancer, tasks), device=values.device)
        cast(ReadsNorms, balancer).observe_norms(norms, values, present)


def places(balancer: Balancer, tasks: Sequence[str]) -> list[int]:
    """Return the indices of tasks in a balancer's order."""
    return [balancer.tasks.index(task) for task in tasks]


def _joined(statuses: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(status for status in statuses if status != OK)) or OK
