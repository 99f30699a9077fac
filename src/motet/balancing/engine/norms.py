"""Norms of the tasks' gradients on the last shared layer, for loss balancers that read them.

Each norm costs a pass through the task's own part down to that layer, with ``layer="all"`` through
all of the shared part; differentiated norms, a second one through all of it. The graph shows which
layer is the last, in a walk or two at a microsecond or two per node.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.graph import (
    HIDDEN,
    is_compiled,
    is_leaf,
    place,
    users,
    walk,
    whole_graph,
)
from motet.balancing.engine.inputs import Shared
from motet.balancing.engine.leaves import common_leaves, trainable
from motet.balancing.families import Balancer
from motet.problems import InputError


def _nothing_common(balancer: Balancer) -> str:
    return (
        f"{type(balancer).__name__} compares gradients where tasks meet, but no two losses reach "
        "the same parameter in `shared`; check it, or leave it out"
    )


NOTHING_SHARED = "no norms, as the losses have no parameter in common"


def norm_leaves(
    losses: Mapping[str, Tensor], balancer: Balancer, shared: Shared | None
) -> list[Tensor]:
    """List the leaves on which a balancer needs norms.

    The last layer are the weights with no other shared weight between them and the losses, and the
    biases used together with them. A weight has at least two axes and is multiplied with features
    as a matrix; scales of norms have one axis, those of the members of an ensemble are elementwise.

    Returns:
        The leaves; none if no two losses reach a common one.

    Raises:
        InputError: If none of those is in ``shared``.
    """
    roots = [place(loss)[0] for loss in losses.values()]
    graph = whole_graph(losses.values())
    if graph.hidden and shared is None:
        raise InputError(f"{HIDDEN}; give shared=, or compile the shared part alone")
    reached = graph.leaves
    common = {leaf: reached[leaf] for leaf in common_leaves(reached)}
    if len(roots) == 1:
        common = reached
    if shared is not None:
        asked = {id(leaf) for leaf in trainable(shared)}
        common = {leaf: tasks for leaf, tasks in common.items() if id(leaf) in asked}
        if not common:
            raise InputError(_nothing_common(balancer))
    return list(common) if balancer.needs.norms == "all" else _last_layer(balancer, roots, common)


def joined_norm_leaves(call: BackwardCall) -> list[Tensor]:
    """List the leaves on which norms are needed, as `norm_leaves` does for all processes' graphs.

    A process may lack tasks, so what its graph shows is added up: which tasks reach a parameter in
    ``shared``, and whether another one lies between it and the losses. Graphs with all tasks
    decide, if there are any.

    Returns:
        The leaves; none if tasks have none in common and ``task_parameters`` is empty.

    Raises:
        InputError: If no two losses reach a common one, or graphs disagree and none has all tasks.
    """
    balancer, shared = call.balancer, call.leaves.shared
    losses = {task: loss for task, loss in call.losses.items() if loss.requires_grad}
    graph = walk([place(loss) for loss in losses.values()])
    bits = {task: 1 << bit for bit, task in enumerate(losses)}
    reached = torch.tensor(
        [[bool(graph.leaves.get(p, 0) & bits.get(task, 0)) for p in shared] for task in call.tasks]
    )
    tasks = (_joined(call, reached) > 0).sum(dim=0).tolist()
    fewest = min(2, len(call.tasks))
    common = [leaf for leaf, count in zip(shared, tasks, strict=True) if count >= fewest]
    if not common and not call.task_parameters:  # every task by itself
        return []
    if not common:
        raise InputError(_nothing_common(balancer))
    if balancer.needs.norms == "all":
        return common
    here = {leaf: graph.leaves[leaf] for leaf in common if leaf in graph.leaves}
    last = {
        id(leaf) for leaf in _last_layer(balancer, [place(x)[0] for x in losses.values()], here)
    }
    found = [id(leaf) in last for leaf in common]
    behind = [leaf in here and id(leaf) not in last for leaf in common]
    whole = len(losses) == len(call.tasks)
    shown = torch.tensor([found, behind, [whole and each for each in found]])
    some, others, sure = (_joined(call, shown) > 0).tolist()
    if any(sure):
        return [leaf for leaf, yes in zip(common, sure, strict=True) if yes]
    if any(yes and no for yes, no in zip(some, others, strict=True)):
        raise InputError(
            f"{type(balancer).__name__} computes norms on the last shared layer, which is another "
            "one for the tasks of each process, and none has all tasks; create it with "
            'layer="all", or give the parameters of one layer as `shared`'
        )
    return [leaf for leaf, yes in zip(common, some, strict=True) if yes]


def _joined(call: BackwardCall, shown: Tensor) -> Tensor:
    return call.processes.total(shown.double().to(call.processes.device)).cpu()


def _last_layer(balancer: Balancer, roots: list[Any], common: Mapping[Tensor, int]) -> list[Tensor]:
    above = users(roots)
    uses = {
        node.variable: _operations(node, above)
        for node in above
        if is_leaf(node) and node.variable in common
    }
    matrices = [leaf for leaf, used in uses.items() if leaf.dim() > 1 and not _are_scalings(used)]
    weights = matrices or list(uses)
    behind = _behind({operation for weight in weights for operation in uses[weight]})
    last = {operation for weight in weights for operation in uses[weight] - behind}
    found = [leaf for leaf, operations in uses.items() if operations & last]
    if any(map(is_compiled, last)) and sum(leaf.dim() > 1 for leaf in found) > 1:
        raise InputError(
            f"{type(balancer).__name__} computes norms on the last shared layer, and a compiled "
            'module does not show which that is; create it with layer="all", and for one layer '
            "give its parameters as shared="
        )
    return found


_SAME = {"TBackward0", "TransposeBackward0", "PermuteBackward0", "ViewBackward0", "ToCopyBackward0"}
"""Nodes that only view a weight in another form."""


def _are_scalings(operations: set[Any]) -> bool:
    return all(type(each).__name__ == "AddcmulBackward0" for each in operations)


def _operations(leaf: Any, above: Mapping[Any, list[Any]]) -> set[Any]:
    """Return the operations that a leaf takes part in."""
    found: set[Any] = set()
    waiting = [leaf]
    while waiting:
        for user in above[waiting.pop()]:
            (waiting.append if type(user).__name__ in _SAME else found.add)(user)
    return found


def _behind(operations: set[Any]) -> set[Any]:
    """Return those of some operations whose outputs reach the losses only through others."""
    waiting, seen = list(operations), set()
    while waiting:
        for child, _ in waiting.pop().next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return operations & seen


def norm_of(gradients: tuple[Tensor | None, ...], like: Tensor) -> Tensor:
    """Return the length of a gradient, in float32 or better; 0 has derivative 0."""
    found = [each for each in gradients if each is not None]
    dense = [each.coalesce().values() if each.is_sparse else each for each in found]
    parts = [
        torch.linalg.vector_norm(each.to(torch.promote_types(each.dtype, torch.float32)))
        for each in dense
    ]
    return torch.linalg.vector_norm(torch.stack(parts)) if parts else like.new_zeros(())


@contextmanager
def twice_differentiable(balancer: Balancer) -> Iterator[None]:
    """Add advice to errors about an operation without a second derivative."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if not any(sign in reason.lower() for sign in ("twice", "double back", "derivative for")):
            raise
        raise not_twice(balancer, f" ({reason})") from None


def not_twice(balancer: Balancer, reason: str = "") -> InputError:
    """Return the error of a model that cannot be differentiated twice."""
    return InputError(
        f"{type(balancer).__name__} differentiates gradients, and part of the model cannot be "
        f"differentiated twice{reason}. Leave torch.compile out; for attention, "
        "sdpa_kernel(SDPBackend.MATH) helps; for an RNN on a GPU, "
        "torch.backends.cudnn.flags(enabled=False); or use a balancer without second derivatives, "
        "such as `gradnorm`"
    )
