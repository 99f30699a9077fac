"""Blocks: tasks with separate rows in one batch, one backward pass for all of them.

Where the shared part treats every row independently (`motet.balancing.engine.row_wise`), the
cotangents Bₖ at a layer have other rows for tasks that share no row of the batch. So one pass with
their sum B finds all of them. With S (T', N), 1 where a row belongs to a task, a linear layer with
inputs A has::

    ⟨Bₖᵀ A, Bₗᵀ A⟩ = [S (A Aᵀ ∘ B Bᵀ) Sᵀ]ₖₗ        Σ wₖ Bₖᵀ A = (Sᵀw ∘ B)ᵀ A

in float64, so no precision is lost to squares. With many rows the gradients Bₖᵀ A themselves cost
less, of each task's rows alone.

Tasks that have rows in common are in different sets, each of which takes a pass: several tasks on
each of several sources take as many as the tasks of a source, found by greedy colouring. With more
sets than T' / 2 the way is left, and the next ones continue from the cotangents found. Hooks
between layers are called once for each set, with the cotangents of all its tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine import workspace
from motet.balancing.engine.call import BackwardCall, Begun, gradients_behind
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.graph import Place
from motet.balancing.engine.linear_layers import Layer, cotangents
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.row_wise import LayerNorm, RowWisePart, row_wise_part
from motet.balancing.engine.solving import Solved, own_weights, solved_result, weigh

Own = list[tuple[Tensor | None, ...]]
"""Gradients of each task on its own leaves."""


@dataclass
class _Sets:
    """Tasks in sets that share no row."""

    members: list[list[int]]
    """Places of the tasks of each set."""
    totals: list[Tensor]
    """Sum of the cotangents of each set where the shared part starts, (N, ...)."""
    taken: list[Tensor]
    """Rows that the tasks of each set have, (N,)."""
    rows: list[Tensor]
    """Rows of each task, (N,)."""

    def add(self, task: int, cotangent: Tensor) -> None:
        """Add the next task to the first set that has none of its rows."""
        here = cotangent.flatten(1).any(dim=1)
        self.rows.append(here)
        for number, taken in enumerate(self.taken):
            if not bool((taken & here).any()):
                self.members[number].append(task)
                self.taken[number] = taken | here
                self.totals[number] = self.totals[number] + cotangent
                return
        self.members.append([task])
        self.taken.append(here)
        self.totals.append(cotangent)

    def owners(self) -> Tensor:
        """Return S (T', N), float64."""
        return torch.stack(self.rows).double()


def blocks(call: BackwardCall) -> BackwardResult | None:
    """Balance tasks by one pass for each set that shares no row; None where that gains nothing."""
    leaves = call.leaves
    part = row_wise_part(call.losses, leaves.shared, call.above)
    found = None if part is None else _own_parts(call, part.start)
    if part is None or found is None:
        return None
    sets, own = found
    owners = sets.owners()
    captured = [
        _captured(call, part, total, last=total is sets.totals[-1]) for total in sets.totals
    ]
    given = [iter(each) for each in captured]
    products = [(layer, [_joined(layer, each) for each in given]) for layer in part.layers]
    sums = list(_norm_sums(part.norms, given, owners, sets.members))
    gramian = _norms_gramian(sums, owners)
    memory = workspace.lend(call.balancer)
    for layer, each in products:
        every = owners.repeat(1, len(layer.uses))
        if _pays(layer, len(call.tasks), len(sets.members)):
            gramian += _gramian_of_products(layer, each, every, sets.members)
        else:
            rows = GradientRows([layer.weight], call.tasks, memory)
            gramian += _gramian_of_blocks(rows, layer, each, every, sets.members)
            memory = rows.memory
    if memory is not None:
        workspace.give_back(call.balancer, memory)
    everyone = [list(range(len(call.tasks)))]
    dtype = torch.promote_types(leaves.shared[0].dtype, torch.float32)
    weights, gramian, status, inner = weigh(call, gramian, call.values(), everyone, dtype)
    scaled = weights * call.scale
    for leaf, gradients in sums:
        add_to_grad(leaf, scaled.to(gradients) @ gradients, call.waiting, owned=True)
    for layer, each in products:
        total = _weighted(layer, each, scaled.to(owners), owners, sets.members)
        for leaf, gradient in zip(layer.leaves, layer.gradients(total), strict=True):
            add_to_grad(leaf, gradient, call.waiting, owned=True)
    counted = own_weights(call, weights, inner)
    for number, task in enumerate(call.tasks):
        factor = () if counted is None else (counted[number],)
        call.add_all(leaves.own[task], own[number], *factor)
    return solved_result(call, Solved(weights, weights, gramian, status, (call.tasks,)), "blocks")


def _own_parts(call: BackwardCall, start: Place) -> tuple[_Sets, Own] | None:
    """Compute gradients in the tasks' own parts; None if too many tasks have rows in common."""
    kept = replace(call, keep_graph=True)
    sets, own = _Sets([], [], [], []), []
    for number, task in enumerate(call.tasks):
        leaves = call.leaves.own[task]
        each, *rest = kept.gradients(task, [GradientEdge(*start), *leaves])
        if each is None:
            return None
        call.begun[task] = Begun(start, each, dict(zip(map(id, leaves), rest, strict=True)))
        sets.add(number, each)
        own.append(tuple(rest))
        if len(sets.members) > max(1, len(call.tasks) // 2):
            return None
    return sets, own


def _captured(
    call: BackwardCall, part: RowWisePart, total: Tensor, *, last: bool
) -> list[Tensor | None]:
    """Return the cotangents of a set of tasks at all uses of layers, then at all norms."""
    uses = [use.output[0] for layer in part.layers for use in layer.uses]
    nodes = [*uses, *(norm.node for norm in part.norms)]
    edges = [GradientEdge(node, 0) for node in nodes]
    start = total / call.scale
    with cotangents(nodes, {part.start: start}) as seen:
        found = gradients_behind([part.start], edges, [start], retain=call.keep_graph or not last)
    return [seen.get(number, each) for number, each in enumerate(found)]


def _joined(layer: Layer, given: Iterator[Tensor | None]) -> Tensor:
    joined = layer.joined([next(given) for _ in layer.uses])
    assert joined is not None
    return joined


def _weighted(
    layer: Layer,
    given: Sequence[Tensor],
    weights: Tensor,
    owners: Tensor,
    members: Sequence[list[int]],
) -> Tensor:
    """Return Sᵀw ∘ B, (N, out), added up over the sets."""
    total: Tensor | None = None
    for each, mine in zip(given, members, strict=True):
        counts = (weights[mine] @ owners[mine]).repeat(len(layer.uses)).to(each)
        part = counts[:, None] * each
        total = part if total is None else total + part
    assert total is not None
    return total


def _pays(layer: Layer, tasks: int, sets: int) -> bool:
    """Return whether products cost less than T' gradients to write and read."""
    (rows, out), width = layer.shape, layer.weight.shape[1]
    return 2 * rows**2 * (width + sets**2 * out) < _MOVE * tasks * width * out


_MOVE = 70
"""Multiplications in the time that a number of a row takes to be written, read and combined."""


def _gramian_of_products(
    layer: Layer, given: Sequence[Tensor], owners: Tensor, members: Sequence[list[int]]
) -> Tensor:
    inputs, cotangents = layer.inputs.double(), [each.double() for each in given]
    alike = inputs @ inputs.T
    if layer.bias is not None:
        alike += 1
    found = owners.new_zeros(len(owners), len(owners))
    for one, mine in zip(cotangents, members, strict=True):
        for other, theirs in zip(cotangents, members, strict=True):
            products = alike * (one @ other.T)
            found[torch.tensor(mine)[:, None], theirs] = owners[mine] @ products @ owners[theirs].T
    return found


def _gramian_of_blocks(
    rows: GradientRows,
    layer: Layer,
    given: Sequence[Tensor],
    owners: Tensor,
    members: Sequence[list[int]],
) -> Tensor:
    inputs = layer.inputs
    sums = owners.new_zeros(len(owners), len(layer.weight))
    for each, mine in zip(given, members, strict=True):
        for task in mine:
            here = owners[task].nonzero().flatten()
            torch.mm(each[here].T, inputs[here], out=rows.jacobian[task].view(layer.weight.shape))
        sums[mine] = owners[mine] @ each.double()
    found = rows.gramian()
    if layer.bias is not None:
        found += sums @ sums.T
    return found


def _norms_gramian(sums: Sequence[tuple[Tensor, Tensor]], owners: Tensor) -> Tensor:
    found = owners.new_zeros(len(owners), len(owners))
    for _, each in sums:
        found += each.double() @ each.double().T
    return found


def _norm_sums(
    norms: Sequence[LayerNorm],
    given: Sequence[Iterator[Tensor | None]],
    owners: Tensor,
    members: Sequence[list[int]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the leaves of layer norms, and the gradients of all tasks on each (T', D)."""
    for norm in norms:
        inputs, mean, inverse = norm.saved
        scales, shifts = [], []
        for each, mine in zip(map(next, given), members, strict=True):
            assert each is not None
            sums = owners[mine].to(each)
            scales.append(sums @ (each * (inputs - mean) * inverse))
            shifts.append(sums @ each)
        order = torch.tensor([task for mine in members for task in mine]).argsort()
        for leaf, parts in zip(norm.leaves, (scales, shifts), strict=True):
            if leaf is not None:
                yield leaf, torch.cat(parts)[order]
