"""What the autograd graph shows: which leaves each loss reaches, and where tasks diverge.

One walk visits every node of the graph once, in Python, at a microsecond or two per node.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    """Leaves behind a compiled module with outputs of different tasks, which is one node: it does
    not show which of its outputs depend on them."""
    reentrant: bool
    """Whether leaves are missing: a reentrant checkpoint builds its graph in the backward pass."""


def place(tensor: Tensor) -> Place:
    """Return the place of a tensor in its graph."""
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def walk(starts: Sequence[Place], stops: Collection[Place] = ()) -> Graph:
    """Walk a graph from some places, such as those of losses, and not beyond others.

    Returns:
        The leaves, and the cut between what belongs to one loss and what several share.
    """
    bits = {1 << bit: start for bit, start in enumerate(starts) if start not in stops}
    order = _topological([node for node, _ in bits.values()], stops)
    reached = dict.fromkeys(order, 0)
    for bit, (node, _) in bits.items():
        reached[node] |= bit
    leaves: dict[Tensor, int] = {}
    for node in order:
        tasks = reached[node]
        if is_leaf(node):
            leaves[node.variable] = tasks
        for child in node.next_functions:
            if child[0] is not None and child not in stops:
                reached[child[0]] |= tasks
    cuts = dict.fromkeys(start for start in bits.values() if several(reached[start[0]]))
    for node in order:
        if not several(reached[node]):
            for child in node.next_functions:
                if child[0] is not None and child not in stops and several(reached[child[0]]):
                    cuts[child] = None
    kinds = {type(node).__name__ for node in order}
    hidden = _hidden(order, bits, reached) if _COMPILED in kinds else set()
    return Graph(leaves, cuts, hidden, "CheckpointFunctionBackward" in kinds)


_COMPILED = "CompiledFunctionBackward"


def is_compiled(node: Any) -> bool:
    """Return whether a node is all that a graph shows of a compiled module."""
    return type(node).__name__ == _COMPILED


def _hidden(
    order: Sequence[Any], starts: Mapping[int, Place], reached: Mapping[Any, int]
) -> set[Tensor]:
    outputs: dict[Any, dict[int, int]] = {node: {} for node in order if is_compiled(node)}
    uses = [(place, tasks) for tasks, place in starts.items()]
    uses += [(child, reached[node]) for node in order for child in node.next_functions]
    for (node, number), tasks in uses:
        if node in outputs:
            outputs[node][number] = outputs[node].get(number, 0) | tasks
    unclear = {node for node, of in outputs.items() if len(set(of.values())) > 1}
    for node in order:
        if node in unclear:
            unclear.update(child for child, _ in node.next_functions if child is not None)
    return {node.variable for node in unclear if is_leaf(node)}


HIDDEN = (
    "the losses come out of one compiled module, so the graph does not show which parameters tasks "
    "share"
)


REENTRANT = (
    "a reentrant checkpoint hides its parameters from the graph, which a balancer that reads "
    "gradients needs, and process_group; use torch.utils.checkpoint.checkpoint(..., use_reentrant="
    'False) (for Hugging Face models, gradient_checkpointing_kwargs={"use_reentrant": False})'
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
        roots: Where to start.
        above: Nodes known from other roots; new ones are added to it.

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
    """Return whether one of some places lies behind another."""
    order = _topological([node for node, _ in places], ())
    return any(child in places for node in order for child in node.next_functions)


def is_leaf(node: Any) -> bool:
    """Return whether a node adds to ``.grad`` of a tensor."""
    return type(node).__name__ == "AccumulateGrad"


def several(tasks: int) -> bool:
    """Return whether more than one bit is set."""
    return bool(tasks & (tasks - 1))


def edges(places: Collection[Place]) -> list[GradientEdge]:
    """Return places in the form that autograd takes."""
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
