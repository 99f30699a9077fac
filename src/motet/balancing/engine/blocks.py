"""Tasks with rows of their own in one batch: one backward pass for all of them.

Where no row of the batch counts in two losses, and the shared part treats every row by itself, the
cotangents Bₖ of different tasks at a layer have different rows. So one pass with their sum B finds
all of them. With S (T', N), 1 where a row belongs to a task, a linear layer with inputs A has::

    ⟨Bₖᵀ A, Bₗᵀ A⟩ = [S (A Aᵀ ∘ B Bᵀ) Sᵀ]ₖₗ        Σ wₖ Bₖᵀ A = (Sᵀw ∘ B)ᵀ A

in float64, so no precision is lost to squares. With many rows the gradients Bₖᵀ A themselves cost
less, of each task's rows alone.

The graph must show that rows do not meet: linear layers, layer norms and functions of single
numbers will do; BatchNorm, attention, convolutions and all that is unknown will not. Hooks between
layers are called once, with the cotangents of all tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine import workspace
from motet.balancing.engine.call import Call, gradients
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.graph import Place, is_leaf, place, users, walk
from motet.balancing.engine.layers import Layer, cotangents, layers_behind
from motet.balancing.engine.leaves import Leaves
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.rows import Rows
from motet.balancing.engine.solving import Solved, own_weights, solved_result, weigh

_PARTS = {"SplitBackward0", "SplitWithSizesBackward0"}
_SELECTIONS = _PARTS | {
    "IndexBackward0",
    "IndexSelectBackward0",
    "MaskedSelectBackward0",
    "SliceBackward0",
}
_SINGLE_NUMBERS = {
    "AbsBackward0",
    "AddBackward0",
    "CloneBackward0",
    "DivBackward0",
    "EluBackward0",
    "ExpBackward0",
    "GeluBackward0",
    "HardsigmoidBackward0",
    "HardswishBackward0",
    "HardtanhBackward0",
    "LeakyReluBackward0",
    "LogSigmoidBackward0",
    "MishBackward0",
    "MulBackward0",
    "NativeDropoutBackward0",
    "NegBackward0",
    "PowBackward0",
    "ReluBackward0",
    "SigmoidBackward0",
    "SiluBackward0",
    "SoftplusBackward0",
    "SubBackward0",
    "TanhBackward0",
}
_FROZEN = {"AddmmBackward0": 1, "MmBackward0": 0}
"""Where products have their inputs."""
_NORM = "NativeLayerNormBackward0"


class _Norm(NamedTuple):
    """A layer norm with a scale, a shift, or both."""

    node: Any
    saved: tuple[Tensor, Tensor, Tensor]
    """Inputs, their mean, and the inverse of their deviation."""
    leaves: tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class _Part:
    """What all tasks share, all of it behind one place."""

    start: Place
    layers: list[Layer]
    norms: list[_Norm]


def by_blocks(call: Call, leaves: Leaves) -> BackwardResult | None:
    """Balance tasks with rows of their own by one pass; None where that cannot be done."""
    part = _row_wise_part(call, leaves.shared)
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
            rows = Rows([layer.weight], call.tasks, memory)
            gramian += _gramian_of_blocks(rows, layer, each, every)
            memory = rows.memory
    if memory is not None:
        workspace.give_back(call.balancer, memory)
    weights, inner, status = weigh(call, gramian, call.values(), [list(range(len(call.tasks)))])
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
    counted = own_weights(call, weights)
    for number, task in enumerate(call.tasks):
        factor = () if counted is None else (counted[number],)
        call.add_all(leaves.own[task], own[number], *factor)
    return solved_result(call, Solved(weights, weights, inner, status, (call.tasks,)), "blocks")


def _own_parts(
    call: Call, leaves: Leaves, start: Place
) -> tuple[Tensor, Tensor, list[tuple[Tensor | None, ...]]] | None:
    """Go back through the tasks' own parts.

    Returns:
        The sum of the cotangents where the shared part begins, (N, ...); S (T', N); the gradients
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
    """Tell whether products cost less than T' gradients to write and read."""
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


def _gramian_of_blocks(rows: Rows, layer: Layer, given: Tensor, owners: Tensor) -> Tensor:
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
    norms: Sequence[_Norm], given: Iterator[Tensor | None], owners: Tensor
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


def _row_wise_part(call: Call, shared: Sequence[Tensor]) -> _Part | None:
    """Find what the tasks share, if it treats every row by itself."""
    if any(leaf.dim() > 2 or leaf.device.type != "cpu" for leaf in shared):
        return None  # a walk would be in vain; on GPUs nobody has measured
    if len(call.tasks) < 2 or len({leaf.dtype for leaf in shared}) > 1:
        return None
    starts = [place(loss) for loss in call.losses.values()]
    first = users([starts[0][0]])
    if not any(_selects(node) for node in first):
        return None
    graph = walk(starts)
    if len({node for node, _ in graph.cuts}) != 1:
        return None
    start = next(iter(graph.cuts))
    if type(start[0]).__name__ in _PARTS:
        start = start[0].next_functions[0]
    elif len(graph.cuts) > 1:
        return None
    behind = users([start[0]])
    layers = layers_behind(shared, behind)
    norms = list(_norms(behind))
    covered = {id(leaf) for layer in layers for leaf in layer.leaves}
    covered |= {id(leaf) for norm in norms for leaf in norm.leaves if leaf is not None}
    mine = {id(leaf) for leaf in shared}
    if covered != {id(leaf) for leaf in graph.leaves if id(leaf) in mine}:
        return None
    if any(is_leaf(node) and id(node.variable) not in covered for node in behind):
        return None
    count = _shape(start)[:1]
    products = {use.output[0] for layer in layers for use in layer.uses}
    if not count or not all(_is_row_wise(node, count, products) for node in behind):
        return None
    return _Part(start, layers, norms)


def _selects(node: Any) -> bool:
    """Tell whether a node may be given some of the rows, and not some of the columns."""
    return type(node).__name__ in _SELECTIONS and getattr(node, "_saved_dim", 0) == 0


def _norms(behind: dict[Any, list[Any]]) -> Iterator[_Norm]:
    for node in behind:
        if type(node).__name__ == _NORM and node._raw_saved_input.unpack_hook is None:
            saved = node._saved_input, node._saved_result1, node._saved_result2
            inputs, mean, inverse = (each.detach() for each in saved)
            scale, shift = (child for child, _ in node.next_functions[1:])
            leaves = _plain_leaf(scale, behind), _plain_leaf(shift, behind)
            yield _Norm(node, (inputs, mean, inverse), leaves)


def _plain_leaf(node: Any, behind: dict[Any, list[Any]]) -> Tensor | None:
    """Return a leaf that is used once, if nobody listens to its gradient."""
    if node is None or not is_leaf(node) or len(behind[node]) > 1:
        return None
    leaf: Tensor = node.variable
    return None if leaf._backward_hooks else leaf


def _is_row_wise(node: Any, count: tuple[int, ...], products: set[Any]) -> bool:
    """Tell whether the rows of what a node is given are those of what it passes on."""
    name = type(node).__name__
    if is_leaf(node):
        return True
    if name == "TBackward0":
        return is_leaf(node.next_functions[0][0])  # the weight of a product
    children = [child for child in node.next_functions if child[0] is not None]
    shape = _shape((node, 0))
    if node in products:
        return shape[:1] == count
    if name in _FROZEN:  # a product whose weight and bias are no part of the graph
        inputs = node.next_functions[_FROZEN[name]]
        return shape[:1] == count and children == [inputs]
    if name == _NORM:
        return shape[:1] == count and len(shape) == 2 and len(node._saved_normalized_shape) == 1
    whole = all(not is_leaf(child[0]) and _shape(child) == shape for child in children)
    return name in _SINGLE_NUMBERS and shape[:1] == count and whole


def _shape(at: Place) -> tuple[int, ...]:
    """Return the shape of what stands at a place."""
    return tuple(at[0]._input_metadata[at[1]].shape)
