"""Blocks: tasks with separate rows in one batch, one backward pass for all of them.

Where no row of the batch counts in two losses, and the shared part treats every row independently
(`motet.balancing.engine.row_wise`), the cotangents Bₖ of different tasks at a layer have different
rows. So one pass with their sum B finds all of them. With S (T', N), 1 where a row belongs to a
task, a linear layer with inputs A has::

    ⟨Bₖᵀ A, Bₗᵀ A⟩ = [S (A Aᵀ ∘ B Bᵀ) Sᵀ]ₖₗ        Σ wₖ Bₖᵀ A = (Sᵀw ∘ B)ᵀ A

in float64, so no precision is lost to squares. With many rows the gradients Bₖᵀ A themselves cost
less, of each task's rows alone. Hooks between layers are called once, with the cotangents of all
tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine import workspace
from motet.balancing.engine.call import BackwardCall, gradients
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.graph import Place
from motet.balancing.engine.leaves import Leaves
from motet.balancing.engine.linear_layers import Layer, cotangents
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.row_wise import LayerNorm, row_wise_part
from motet.balancing.engine.solving import Solved, own_weights, solved_result, weigh


def blocks(call: BackwardCall) -> BackwardResult | None:
    """Balance tasks with separate rows by one pass; None where the graph does not allow it."""
    leaves = call.leaves
    part = row_wise_part(call.losses, leaves.shared)
    found = None if part is None else _own_parts(call, leaves, part.start)
    if part is None or found is None:
        return None
    total, owners, own = found
    uses = [use.output[0] for layer in part.layers for use in layer.uses]
    nodes = [*uses, *(norm.node for norm in part.norms)]
    edges = [GradientEdge(node, 0) for node in nodes]
    with cotangents(nodes) as seen:
        captured = gradients(
            [GradientEdge(*part.start)], edges, [total / call.scale], retain=call.keep_graph
        )
    given = iter([seen.get(number, each) for number, each in enumerate(captured)])
    products = [(layer, layer.joined([next(given) for _ in layer.uses])) for layer in part.layers]
    gramian = _norms_gramian(sums := list(_norm_sums(part.norms, given, owners)), owners)
    memory = workspace.lend(call.balancer)
    for layer, each in products:
        assert each is not None
        every = owners.repeat(1, len(layer.uses))
        if _pays(layer, len(call.tasks)):
            gramian += _gramian_of_products(layer, each, every)
        else:
            rows = GradientRows([layer.weight], call.tasks, memory)
            gramian += _gramian_of_blocks(rows, layer, each, every)
            memory = rows.memory
    if memory is not None:
        workspace.give_back(call.balancer, memory)
    everyone = [list(range(len(call.tasks)))]
    weights, gramian, status, inner = weigh(call, gramian, call.values(), everyone)
    scaled = weights * call.scale
    for leaf, each in sums:
        add_to_grad(leaf, scaled.to(each) @ each, call.waiting, owned=True)
    for layer, each in products:
        assert each is not None
        counts = (scaled.to(owners) @ owners).repeat(len(layer.uses)).to(each)
        for leaf, gradient in zip(
            layer.leaves, layer.gradients(counts[:, None] * each), strict=True
        ):
            add_to_grad(leaf, gradient, call.waiting, owned=True)
    counted = own_weights(call, weights, inner)
    for number, task in enumerate(call.tasks):
        factor = () if counted is None else (counted[number],)
        call.add_all(leaves.own[task], own[number], *factor)
    return solved_result(call, Solved(weights, weights, gramian, status, (call.tasks,)), "blocks")


def _own_parts(
    call: BackwardCall, leaves: Leaves, start: Place
) -> tuple[Tensor, Tensor, list[tuple[Tensor | None, ...]]] | None:
    """Compute gradients in the tasks' own parts.

    Returns:
        The sum of the cotangents where the shared part starts, (N, ...); S (T', N); the gradients
        on the tasks' own leaves. None if a row counts in two losses.
    """
    kept = replace(call, keep_graph=True)
    total: Tensor | None = None
    owners, own = [], []
    taken: Tensor | None = None
    for task in call.tasks:
        each, *rest = kept.gradients(task, [GradientEdge(*start), *leaves.own[task]])
        if each is None:
            return None
        here = each.flatten(1).any(dim=1)
        if taken is not None and bool((taken & here).any()):
            return None
        taken = here if taken is None else taken | here
        total = each if total is None else total + each
        owners.append(here)
        own.append(tuple(rest))
    assert total is not None
    return total, torch.stack(owners).double(), own


def _pays(layer: Layer, tasks: int) -> bool:
    """Return whether products cost less than T' gradients to write and read."""
    (rows, out), width = layer.shape, layer.weight.shape[1]
    return 2 * rows**2 * (width + out) < _MOVE * tasks * width * out


_MOVE = 70
"""Multiplications in the time that a number of a row takes to be written, read and combined."""


def _gramian_of_products(layer: Layer, given: Tensor, owners: Tensor) -> Tensor:
    inputs, given = layer.inputs.double(), given.double()
    products = inputs @ inputs.T
    if layer.bias is not None:
        products += 1
    products *= given @ given.T
    return owners @ products @ owners.T


def _gramian_of_blocks(rows: GradientRows, layer: Layer, given: Tensor, owners: Tensor) -> Tensor:
    inputs = layer.inputs
    for row, mine in zip(rows.jacobian, owners, strict=True):
        here = mine.nonzero().flatten()
        torch.mm(given[here].T, inputs[here], out=row.view(layer.weight.shape))
    found = rows.gramian()
    if layer.bias is not None:
        sums = owners @ given.double()
        found += sums @ sums.T
    return found


def _norms_gramian(sums: Sequence[tuple[Tensor, Tensor]], owners: Tensor) -> Tensor:
    found = owners.new_zeros(len(owners), len(owners))
    for _, each in sums:
        found += each.double() @ each.double().T
    return found


def _norm_sums(
    norms: Sequence[LayerNorm], given: Iterator[Tensor | None], owners: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the leaves of layer norms, and the gradients of all tasks on each (T', D)."""
    for norm, each in zip(norms, given, strict=True):
        assert each is not None
        sums = owners.to(each)
        scale, shift = norm.leaves
        if scale is not None:
            inputs, mean, inverse = norm.saved
            yield scale, sums @ (each * (inputs - mean) * inverse)
        if shift is not None:
            yield shift, sums @ each
