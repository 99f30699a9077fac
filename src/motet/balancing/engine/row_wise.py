"""The shared part of a graph, if it treats every row of a batch independently.

The graph must show that rows do not meet: linear layers, layer norms and functions of single
numbers qualify; BatchNorm, attention, convolutions and unknown operations do not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from motet.balancing.engine.graph import Place, is_leaf, place, users, walk
from motet.balancing.engine.linear_layers import Layer, layers_behind

_SPLITS = {"SplitBackward0", "SplitWithSizesBackward0"}
_SELECTIONS = _SPLITS | {
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
"""Products by node, and the place of their inputs."""
_NORM = "NativeLayerNormBackward0"


class LayerNorm(NamedTuple):
    """A layer norm with a scale, a shift, or both."""

    node: Any
    saved: tuple[Tensor, Tensor, Tensor]
    """Inputs, their mean, and the inverse of their deviation."""
    leaves: tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class RowWisePart:
    """The part of a graph that all tasks share, behind one place."""

    start: Place
    layers: list[Layer]
    norms: list[LayerNorm]


def row_wise_part(
    losses: Mapping[str, Tensor], shared: Sequence[Tensor], above: dict[Any, list[Any]]
) -> RowWisePart | None:
    """Find the part of a graph that tasks share, if it treats every row independently.

    Args:
        losses: The losses.
        shared: The leaves that are balanced on.
        above: Receives the nodes that use each node behind the first loss.

    Returns:
        That part; None where rows meet, or no loss selects rows.
    """
    if any(leaf.dim() > 2 or leaf.device.type != "cpu" for leaf in shared):
        return None  # a walk would find nothing; not measured on GPUs
    if len(losses) < 2 or len({leaf.dtype for leaf in shared}) > 1:
        return None
    starts = [place(loss) for loss in losses.values()]
    first = users([starts[0][0]], above)
    if not any(_selects(node) for node in first):
        return None
    graph = walk(starts)
    if len({node for node, _ in graph.cuts}) != 1:
        return None
    start = next(iter(graph.cuts))
    if type(start[0]).__name__ in _SPLITS:
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
    return RowWisePart(start, layers, norms)


def _selects(node: Any) -> bool:
    """Return whether a node may select some of the rows, and not some of the columns."""
    return type(node).__name__ in _SELECTIONS and getattr(node, "_saved_dim", 0) == 0


def _norms(behind: dict[Any, list[Any]]) -> Iterator[LayerNorm]:
    for node in behind:
        if type(node).__name__ == _NORM and node._raw_saved_input.unpack_hook is None:
            saved = node._saved_input, node._saved_result1, node._saved_result2
            inputs, mean, inverse = (each.detach() for each in saved)
            scale, shift = (child for child, _ in node.next_functions[1:])
            leaves = _plain_leaf(scale, behind), _plain_leaf(shift, behind)
            yield LayerNorm(node, (inputs, mean, inverse), leaves)


def _plain_leaf(node: Any, behind: dict[Any, list[Any]]) -> Tensor | None:
    """Return a leaf that is used once and whose gradient has no hooks."""
    if node is None or not is_leaf(node) or len(behind[node]) > 1:
        return None
    leaf: Tensor = node.variable
    return None if leaf._backward_hooks else leaf


def _is_row_wise(node: Any, count: tuple[int, ...], products: set[Any]) -> bool:
    """Return whether the rows of a node's inputs are those of its outputs."""
    name = type(node).__name__
    if is_leaf(node):
        return True
    if name == "TBackward0":
        return is_leaf(node.next_functions[0][0])  # the weight of a product
    children = [child for child in node.next_functions if child[0] is not None]
    shape = _shape((node, 0))
    if node in products:
        return shape[:1] == count
    if name in _FROZEN:  # a product whose weight and bias are not in the graph
        inputs = node.next_functions[_FROZEN[name]]
        return shape[:1] == count and children == [inputs]
    if name == _NORM:
        return shape[:1] == count and len(shape) == 2 and len(node._saved_normalized_shape) == 1
    whole = all(not is_leaf(child[0]) and _shape(child) == shape for child in children)
    return name in _SINGLE_NUMBERS and shape[:1] == count and whole


def _shape(at: Place) -> tuple[int, ...]:
    """Return the shape of the tensor at a place."""
    return tuple(at[0]._input_metadata[at[1]].shape)
