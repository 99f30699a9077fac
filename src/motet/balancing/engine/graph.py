"""What the autograd graph says: which leaves each loss reaches, and where tasks part.

One walk visits every node of the graph once, in Python, at a microsecond or two per node.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from motet.problems import InputError

Place = tuple[Any, int]
"""A node of the graph and the number of one of its outputs."""


@dataclass(frozen=True)
class Graph:
    """Leaves and cuts of several losses."""

    leaves: dict[Tensor, int]
    """Every leaf that some loss reaches, and which: bit k stands for the k-th loss."""
    cuts: dict[Place, None]
    """The edges from what one loss reaches into what several reach, in order."""
    hidden: set[Tensor]
    """Leaves that a compiled module uses, whose outputs the graph does not tell apart."""
    reentrant: bool
    """Whether leaves are missing: a reentrant checkpoint makes its graph in the backward pass."""


def place(tensor: Tensor) -> Place:
    """Return where a tensor stands in its graph."""
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def walk(starts: Sequence[Place], stops: Collection[Place] = ()) -> Graph:
    """Walk a graph from some places, those of losses say, and not beyond others.

    Returns:
        The leaves, and the cut between what belongs to one loss and what several share.
    """
    bits = {1 << bit: start for bit, start in enumerate(starts) if start not in stops}
    order = _topological([node for node, _ in bits.values()], stops)
    reached = dict.fromkeys(order, 0)
    for bit, (node, _) in bits.items():
        reached[node] |= bit
    leaves: dict[Tensor, int] = {}
    hidden: set[Tensor] = set()
    for node in order:
        tasks = reached[node]
        if is_leaf(node):
            leaves[node.variable] = tasks
        for child in node.next_functions:
            if child[0] is not None and child not in stops:
                reached[child[0]] |= tasks
        if type(node).__name__ == "CompiledFunctionBackward":
            behind = [child for child, _ in node.next_functions if child is not None]
            hidden |= {child.variable for child in behind if is_leaf(child)}
    cuts = dict.fromkeys(start for start in bits.values() if several(reached[start[0]]))
    for node in order:
        if not several(reached[node]):
            for child in node.next_functions:
                if child[0] is not None and child not in stops and several(reached[child[0]]):
                    cuts[child] = None
    reentrant = any(type(node).__name__ == "CheckpointFunctionBackward" for node in order)
    return Graph(leaves, cuts, hidden, reentrant)


REENTRANT = (
    "a reentrant checkpoint hides its parameters from the graph, and a balancer that reads "
    "gradients needs them; use torch.utils.checkpoint.checkpoint(..., use_reentrant=False) (for "
    'Hugging Face models, gradient_checkpointing_kwargs={"use_reentrant": False})'
)


def whole_graph(outputs: Iterable[Tensor]) -> Graph:
    """Walk the graph of some outputs.

    Returns:
        All leaves and cuts.

    Raises:
        InputError: If leaves are hidden in a reentrant checkpoint.
    """
    graph = walk([place(output) for output in outputs])
    if graph.reentrant:
        raise InputError(REENTRANT)
    return graph


def users(
    roots: Collection[Any], above: dict[Any, list[Any]] | None = None
) -> dict[Any, list[Any]]:
    """Map every node behind some roots to the nodes that use it, once for each use.

    Args:
        roots: Where to begin.
        above: What is known from other roots; it is added to.

    Returns:
        The nodes that use each node.
    """
    above = {} if above is None else above
    waiting = [root for root in dict.fromkeys(roots) if root not in above]
    above.update({root: [] for root in waiting})
    while waiting:
        node = waiting.pop()
        for child, _ in node.next_functions:
            if child is not None:
                if child not in above:
                    above[child] = []
                    waiting.append(child)
                above[child].append(node)
    return above


def nested(places: Collection[Place]) -> bool:
    """Tell whether one of some places lies behind another."""
    order = _topological([node for node, _ in places], ())
    return any(child in places for node in order for child in node.next_functions)


def is_leaf(node: Any) -> bool:
    """Tell whether a node adds to ``.grad`` of a tensor."""
    return type(node).__name__ == "AccumulateGrad"


def several(tasks: int) -> bool:
    """Tell whether more than one bit is set."""
    return bool(tasks & (tasks - 1))


def edges(places: Collection[Place]) -> list[GradientEdge]:
    """Return places as autograd takes them."""
    return [GradientEdge(node, output) for node, output in places]


def _topological(roots: Sequence[Any], stops: Collection[Place]) -> list[Any]:
    """Order all nodes so that each comes before those it passes gradients on to."""
    order: list[Any] = []
    seen: set[Any] = set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(root.next_functions))]
        while stack:
            node, children = stack[-1]
            for child in children:
                if child[0] is not None and child[0] not in seen and child not in stops:
                    seen.add(child[0])
                    stack.append((child[0], iter(child[0].next_functions)))
                    break
            else:
                order.append(node)
                stack.pop()
    order.reverse()
    return order
