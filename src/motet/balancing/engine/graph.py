"""What the autograd graph says: which leaves each loss reaches, and where tasks part.

One walk visits every node of the graph once, in Python, at a microsecond or two per node.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.autograd.graph import GradientEdge


@dataclass(frozen=True)
class Graph:
    """Leaves and cuts of several losses."""

    leaves: dict[Tensor, int]
    """Every leaf that some loss reaches, and which: bit k stands for the k-th loss."""
    cuts: tuple[tuple[GradientEdge, ...], ...]
    """For each loss, the edges from its own part of the graph into what it shares with others."""


def walk(losses: Mapping[str, Tensor]) -> Graph:
    """Walk the graph of some losses.

    Returns:
        The leaves and, for each loss, the cut between its own part and the shared part.
    """
    roots = [loss.grad_fn for loss in losses.values()]
    order = _topological([root for root in roots if root is not None])
    reached = dict.fromkeys(order, 0)
    for bit, root in enumerate(roots):
        if root is not None:
            reached[root] |= 1 << bit
    leaves = {
        loss: 1 << bit
        for bit, (loss, root) in enumerate(zip(losses.values(), roots, strict=True))
        if root is None
    }
    cuts: list[dict[tuple[Any, int], None]] = [{} for _ in roots]
    for bit, root in enumerate(roots):
        if root is not None and _several(reached[root]):
            cuts[bit][root, losses_output(list(losses.values())[bit])] = None
    for node in order:
        for child, _ in node.next_functions:
            if child is not None:
                reached[child] |= reached[node]
    for node in order:
        tasks = reached[node]
        if hasattr(node, "variable"):
            leaves[node.variable] = tasks
        if not _several(tasks):
            for child, place in node.next_functions:
                if child is not None and _several(reached[child]):
                    cuts[tasks.bit_length() - 1][child, place] = None
    edges = tuple(tuple(GradientEdge(node, place) for node, place in cut) for cut in cuts)
    return Graph(leaves, edges)


def losses_output(loss: Tensor) -> int:
    """Return which output of its node a tensor is."""
    return loss.output_nr


def _several(tasks: int) -> bool:
    return bool(tasks & (tasks - 1))


def _topological(roots: list[Any]) -> list[Any]:
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
            for child, _ in children:
                if child is not None and child not in seen:
                    seen.add(child)
                    stack.append((child, iter(child.next_functions)))
                    break
            else:
                order.append(node)
                stack.pop()
    order.reverse()
    return order
