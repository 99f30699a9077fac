"""Linear layers read as products, where that costs less than their gradients.

The gradient of task k on the weight of a linear layer is Bₖᵀ A: the cotangents Bₖ (N, out) of its
outputs times its inputs A (N, in), which are the same for all tasks. With Aᵀ = QR, R (N, N)::

    ⟨Bₖᵀ A, Bₗᵀ A⟩ = ⟨R Bₖ, R Bₗ⟩        Σ wₖ Bₖᵀ A = (Σ wₖ Bₖ)ᵀ A

so a row need hold no more than the cotangents, N x out numbers in place of in x out, and one weight
gradient serves all tasks. A bias is a column of ones in A. R Bₖ is the gradient itself, but for a
rotation: no precision is lost to squares, as it would be with ⟨A Aᵀ Bₖ, Bₗ⟩.

This pays for wide layers and small batches. Where autograd may do more for a layer than the
product, it is left to autograd: recomputed inputs, hooks, a weight that is used twice or cast.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.graph import Place, is_leaf, place, users


class _Slots(NamedTuple):
    """Where the node of a linear layer has its bias and weight, and under what name its inputs."""

    bias: int | None
    weight: int
    inputs: str


_SLOTS = {
    "AddmmBackward0": _Slots(0, 2, "_saved_mat1"),
    "MmBackward0": _Slots(None, 1, "_saved_self"),
}


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer, at the one place where it is used."""

    weight: Tensor
    bias: Tensor | None
    inputs: Tensor
    """A, (N, in)."""
    output: Place

    @property
    def leaves(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the cotangents, (N, out)."""
        return len(self.inputs), len(self.weight)

    @property
    def edge(self) -> GradientEdge:
        return GradientEdge(*self.output)

    def rotated(self, cotangents: Tensor) -> Tensor:
        """Return R B, (T', N out), for cotangents B (T', N, out)."""
        inputs = self.inputs.to(cotangents.dtype)
        if self.bias is not None:
            inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
        upper = torch.geqrf(inputs.T)[0][: len(inputs)].triu()
        tasks, rows, _ = cotangents.shape
        found = torch.empty_like(cotangents)
        step = max(32, -(-rows // 4))
        for start in range(0, rows, step):  # in strips: R is 0 below its diagonal
            strip = upper[start : start + step, start:].expand(tasks, -1, -1)
            torch.bmm(strip, cotangents[:, start:], out=found[:, start : start + step])
        return found.flatten(1)

    def gradients(self, cotangents: Tensor) -> list[Tensor]:
        """Return the gradients of the leaves for cotangents (N, out)."""
        weight = cotangents.T @ self.inputs
        return [weight] if self.bias is None else [weight, cotangents.sum(dim=0)]


def cheaper_layers(losses: Collection[Tensor], shared: Sequence[Tensor]) -> list[Layer]:
    """Find the layers whose products cost less than their gradients, for T' losses."""
    wide = {id(leaf) for leaf in shared if leaf.dim() == 2 and leaf.numel() >= _LEAST}
    if not wide or len({leaf.dtype for leaf in shared}) > 1 or len(losses) < _FEWEST:
        return []  # a walk would cost more than it saves
    known = {id(leaf) for leaf in shared}
    layers = _layers([place(loss)[0] for loss in losses], wide, known)
    return [layer for layer in layers if _pays(layer, len(losses))]


_LEAST = 1 << 14
"""Numbers in the smallest weight that is worth a look."""
_FEWEST = 3
"""Tasks from which on there is something to save."""


@contextmanager
def cotangents(layers: Sequence[Layer]) -> Iterator[dict[int, Tensor]]:
    """Collect the cotangents that the nodes of layers are run with.

    Autograd captures at an edge before hooks on the tensor there act, if the node behind it runs.

    Yields:
        The cotangents, by place in ``layers``, of those layers whose nodes are run.
    """
    seen: dict[int, Tensor] = {}
    hooks = [
        layer.output[0].register_prehook(
            lambda given, number=number: seen.__setitem__(number, given[0])
        )
        for number, layer in enumerate(layers)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _pays(layer: Layer, tasks: int) -> bool:
    """Compare multiplications, by row of A; those that find R run half as fast."""
    rows, width = layer.inputs.shape
    out = len(layer.weight)
    work = 2 * rows * (width - rows / 3) + tasks * rows * out / 2 + width * out
    return rows < width and work < tasks * width * out


def _layers(roots: Sequence[Any], wide: set[int], known: set[int]) -> Iterator[Layer]:
    above = users(roots)
    for leaf in above:
        if not (is_leaf(leaf) and id(leaf.variable) in wide and _is_plain(leaf, above)):
            continue
        (turned,) = above[leaf]  # the weight, transposed
        node = above[turned][0]
        slots = _SLOTS.get(type(node).__name__)
        if type(turned).__name__ != "TBackward0" or len(above[turned]) > 1 or slots is None:
            continue
        if node.next_functions[slots.weight][0] is not turned or not _is_known(node, slots):
            continue
        bias = None if slots.bias is None else node.next_functions[slots.bias][0]
        if bias is not None and not (is_leaf(bias) and id(bias.variable) in known):
            bias = None
        if bias is not None and not _is_plain(bias, above):
            bias = None
        inputs = getattr(node, slots.inputs).detach()
        if inputs.device.type == "cpu":  # elsewhere nobody has measured
            yield Layer(leaf.variable, None if bias is None else bias.variable, inputs, (node, 0))


def _is_plain(leaf: Any, above: Mapping[Any, Sequence[Any]]) -> bool:
    """Tell whether a leaf is used once, and nobody listens to its gradient."""
    return len(above[leaf]) == 1 and not leaf.variable._backward_hooks


def _is_known(node: Any, slots: "_Slots") -> bool:
    """Tell whether a node is a plain product whose inputs are at hand, and not recomputed."""
    raw = getattr(node, slots.inputs.replace("_saved", "_raw_saved"))
    factors = getattr(node, "_saved_alpha", 1), getattr(node, "_saved_beta", 1)
    return getattr(raw, "unpack_hook", raw) is None and factors == (1, 1)
