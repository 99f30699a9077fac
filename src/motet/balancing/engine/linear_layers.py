"""Linear layers read as products, where that costs less than their gradients.

The gradient of task k on the weight of a linear layer is Bₖᵀ A: the cotangents Bₖ (N, out) of its
outputs times its inputs A (N, in), which are the same for all tasks. With Aᵀ = QR, R (N, N)::

    ⟨Bₖᵀ A, Bₗᵀ A⟩ = ⟨R Bₖ, R Bₗ⟩        Σ wₖ Bₖᵀ A = (Σ wₖ Bₖ)ᵀ A

so a row holds no more than the cotangents, N x out numbers in place of in x out, and one weight
gradient serves all tasks. A bias is a column of ones in A. R Bₖ is the gradient itself, but for a
rotation: no precision is lost to squares, as it would be with ⟨A Aᵀ Bₖ, Bₗ⟩.

A layer that is used several times, for example by tasks with separate batches, counts as one with
the rows of all its uses. This pays for wide layers and small batches. A layer is left to autograd
where it may be more than the product: recomputed inputs, hooks, a weight that is cast or used
otherwise.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.graph import Place, place, users


class _Slots(NamedTuple):
    """Places of bias and weight in the node of a linear layer, and the name of its inputs."""

    bias: int | None
    weight: int
    inputs: str


_SLOTS = {
    "AddmmBackward0": _Slots(0, 2, "_saved_mat1"),
    "MmBackward0": _Slots(None, 1, "_saved_self"),
}


class Use(NamedTuple):
    """One place where a linear layer is used."""

    inputs: Tensor
    """A, (N, in)."""
    output: Place


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer, with the N rows of all its uses."""

    weight: Tensor
    bias: Tensor | None
    uses: tuple[Use, ...]

    @property
    def leaves(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the cotangents, (N, out)."""
        return sum(len(use.inputs) for use in self.uses), len(self.weight)

    @property
    def edges(self) -> list[GradientEdge]:
        return [GradientEdge(*use.output) for use in self.uses]

    @property
    def inputs(self) -> Tensor:
        """A, (N, in)."""
        return torch.cat([use.inputs for use in self.uses]) if self.uses[1:] else self.uses[0][0]

    def joined(self, cotangents: Sequence[Tensor | None]) -> Tensor | None:
        """Concatenate the cotangents of all uses; None where there are none."""
        if len(cotangents) == 1 or all(each is None for each in cotangents):
            return cotangents[0]
        out = len(self.weight)
        return torch.cat(
            [
                use.inputs.new_zeros(len(use.inputs), out) if each is None else each
                for use, each in zip(self.uses, cotangents, strict=True)
            ]
        )

    def rotated(self, cotangents: Tensor) -> Tensor:
        """Return R B, (T', min(N, in) out), for cotangents B (T', N, out)."""
        inputs = self.inputs.to(cotangents.dtype)
        if self.bias is not None:
            inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
        upper = torch.geqrf(inputs.T)[0][: len(inputs)].triu()
        if self.uses[1:]:
            return self._rotated_by_use(upper, cotangents).flatten(1)
        tasks, _, out = cotangents.shape
        rows = len(upper)
        found = cotangents.new_empty(tasks, rows, out)
        step = max(32, -(-rows // 4))
        for start in range(0, rows, step):  # in strips: R is 0 below its diagonal
            strip = upper[start : start + step, start:].expand(tasks, -1, -1)
            torch.bmm(strip, cotangents[:, start:], out=found[:, start : start + step])
        return found.flatten(1)

    def _rotated_by_use(self, upper: Tensor, cotangents: Tensor) -> Tensor:
        """Return R B, without the products of uses that a task does not reach."""
        found = cotangents.new_zeros(len(cotangents), len(upper), len(self.weight))
        end = 0
        for use in self.uses:
            start, end = end, end + len(use.inputs)
            here = cotangents[:, start:end].flatten(1).any(dim=1).nonzero().flatten()
            product = upper[:end, start:end] @ cotangents[here, start:end]
            found[:, :end].index_add_(0, here, product)
        return found

    def gradients(self, cotangents: Tensor, here: Tensor | None = None) -> list[Tensor]:
        """Return the gradients of the leaves for cotangents (N, out), or those of some rows."""
        weight = cotangents.T @ (self.inputs if here is None else self.inputs[here])
        return [weight] if self.bias is None else [weight, cotangents.sum(dim=0)]


def linear_layers(
    losses: Collection[Tensor],
    shared: Sequence[Tensor],
    wide: Sequence[Tensor],
    above: dict[Any, list[Any]],
    *,
    cheaper: bool,
) -> list[Layer]:
    """Find the layers that can be read as products, for T' losses.

    Args:
        losses: What the gradients are of.
        shared: The leaves that are balanced on.
        wide: Those of them that may be weights of such layers.
        above: Receives the nodes that use each node, as far as the graph is walked.
        cheaper: Whether to return only layers whose products cost less than their gradients.

    Returns:
        The layers; no leaf is in two of them.
    """
    fewest = _FEWEST if cheaper else 1
    if not wide or len({leaf.dtype for leaf in shared}) > 1 or len(losses) < fewest:
        return []
    if cheaper and any(leaf.device.type != "cpu" for leaf in wide):
        return []  # not measured
    nodes = {place(leaf)[0]: leaf for leaf in shared}
    weights = [place(leaf)[0] for leaf in wide]
    roots = [place(loss)[0] for loss in losses]
    checked = not cheaper
    for count, root in enumerate(roots, 1):
        users([root], above)
        if not checked and count > 1 and all(node in above for node in weights):
            # mostly nothing is gained, which shows before all tasks' own parts are walked
            checked = True
            seen = _layers([each for each in weights if _is_long(each, nodes, above)], nodes, above)
            if not any(_pays(layer, len(losses), walked=count) for layer in seen):
                return []
    layers = _layers(weights, nodes, above)
    return [layer for layer in layers if not cheaper or _pays(layer, len(losses))]


def layers_behind(shared: Sequence[Tensor], above: Mapping[Any, Sequence[Any]]) -> list[Layer]:
    """Find all layers with weights in ``shared`` that can be read as products."""
    nodes = {place(leaf)[0]: leaf for leaf in shared}
    return list(_layers([node for node, leaf in nodes.items() if leaf.dim() == 2], nodes, above))


_FEWEST = 3
"""Tasks below which products save nothing."""


@contextmanager
def cotangents(
    nodes: Sequence[Any], known: Mapping[Place, Tensor] | None = None
) -> Iterator[dict[int, Tensor]]:
    """Collect the cotangents that nodes are run with.

    Autograd captures at an edge before hooks on the tensor there act, if the node behind it runs.

    Args:
        nodes: Nodes with one output of interest, the first.
        known: Cotangents where the pass starts, on which hooks of tensors acted already.

    Yields:
        The cotangents of those nodes that are run or known, by their number.
    """
    known = known or {}
    seen = {k: known[node, 0] for k, node in enumerate(nodes) if (node, 0) in known}
    hooks = [
        node.register_prehook(lambda given, number=number: seen.__setitem__(number, given[0]))
        for number, node in enumerate(nodes)
        if number not in seen
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _pays(layer: Layer, tasks: int, walked: int | None = None) -> bool:
    # multiplications, by row of A; those that find R run half as fast. Several uses are taken to
    # belong to a task each, and tasks that are not walked yet to be like those that are
    (rows, out), width = layer.shape, layer.weight.shape[1]
    apart = bool(layer.uses[1:])
    rows = rows * tasks // walked if apart and walked else rows
    passes = 1 if apart else tasks
    work = 2 * rows * (width - rows / 3) + passes * rows * out / 2 + width * out
    moved = tasks * out * (width - rows) / rows if width * out >= _CACHED else 0
    return rows < width and work < passes * width * out + _MOVE * moved


def _is_long(weight: Any, nodes: Mapping[Any, Tensor], above: Mapping[Any, Sequence[Any]]) -> bool:
    """Return whether a weight has more columns than its products have rows; else none pays."""
    uses = [use for turned in above[weight] for use in above[turned]]
    products = [use for use in uses if type(use).__name__ in _SLOTS]
    width = nodes[weight].shape[1]
    return all(product._input_metadata[0].shape[0] < width for product in products)


_CACHED = 1 << 17
"""Numbers in a row that stay in the cache."""
_MOVE = 5
"""Multiplications in the time that a number of a row takes to be written, read and combined."""


def _layers(
    weights: Sequence[Any], nodes: Mapping[Any, Tensor], above: Mapping[Any, Sequence[Any]]
) -> Iterator[Layer]:
    for weight in weights:
        found = [_use(turned, above) for turned in above.get(weight, ())]
        products = [each for each in found if each is not None]
        if not products or len(products) < len(found) or nodes[weight]._backward_hooks:
            continue
        biases = {
            node.next_functions[slots.bias][0] if slots.bias is not None else None
            for node, slots in products
        }
        bias = biases.pop()
        if biases or not _is_plain_bias(bias, nodes, above, len(products)):
            bias = None
        uses = tuple(
            Use(getattr(node, slots.inputs).detach(), (node, 0)) for node, slots in products
        )
        yield Layer(nodes[weight], None if bias is None else nodes[bias], uses)


def _use(turned: Any, above: Mapping[Any, Sequence[Any]]) -> tuple[Any, "_Slots"] | None:
    """Return the product that a transposed weight goes into, if that is its only use."""
    if type(turned).__name__ != "TBackward0" or len(above[turned]) > 1:
        return None
    node = above[turned][0]
    slots = _SLOTS.get(type(node).__name__)
    if slots is None or node.next_functions[slots.weight][0] is not turned:
        return None
    return (node, slots) if _is_known(node, slots) else None


def _is_plain_bias(
    bias: Any, nodes: Mapping[Any, Tensor], above: Mapping[Any, Sequence[Any]], uses: int
) -> bool:
    """Return whether a node is a leaf used by a layer alone, and its gradient has no hooks."""
    return bias in nodes and len(above[bias]) == uses and not nodes[bias]._backward_hooks


def _is_known(node: Any, slots: "_Slots") -> bool:
    """Return whether a node is a plain product with saved inputs, which are not recomputed."""
    raw = getattr(node, slots.inputs.replace("_saved", "_raw_saved"))
    factors = getattr(node, "_saved_alpha", 1), getattr(node, "_saved_beta", 1)
    return getattr(raw, "unpack_hook", raw) is None and factors == (1, 1)
