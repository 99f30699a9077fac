"""Sharded: each process holds a part of the shared parameters (FSDP2).

T' backward passes, each of which FSDP ends with a reduce-scatter, give this process's part of every
task gradient: T' x P numbers are exchanged, and T' x P / W kept by each of W processes. One sum of
T' x T' numbers gives the Gramian, and each process combines its own part. Every process makes the
same passes, also without a row of some task: its loss is then a sum over no rows, with a graph.
"""

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall, Shards
from motet.balancing.engine.graph import edges, place
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.sharded_passes import averaged_passes, check_listed
from motet.balancing.engine.shards import ShardRows
from motet.balancing.engine.solving import balance, own_weights, solved_result
from motet.balancing.engine.task_rows import by_task_rows
from motet.balancing.engine.ways.kept_weights import kept_weights
from motet.balancing.engine.ways.one_pass import one_pass


def sharded(call: BackwardCall) -> BackwardResult:
    """Balance on gradients of which each process has a part, or on losses of all processes."""
    assert call.shards is not None
    needs = call.balancer.needs
    if call.at == "representation":
        return _at_representation(call, call.shards)
    if needs.reads == "losses" and needs.norms is None:
        call.shards.keep_gathered(False)
        with averaged_passes(call):
            result = one_pass(call)
        check_listed(call)
        return result
    kept = kept_weights(call) if needs.reads == "gramian" else None
    return kept or by_task_rows(call, "shards")


def _at_representation(call: BackwardCall, shards: Shards) -> BackwardResult:
    """Balance on the gradients at the representation, whose rows are divided among processes.

    The last pass goes through heads and shared part at once, with the combined gradient put in
    between.

    Returns:
        What was done.
    """
    given = call.representation
    tensors = [given] if isinstance(given, Tensor) else list(given or ())
    places, count = edges([place(tensor) for tensor in tensors]), shards.processes.count
    shards.keep_gathered(True)
    rows = ShardRows([tensor.detach() for tensor in tensors], call.tasks, None, shards.processes)
    for row, task in enumerate(call.tasks):
        loss = call.losses[task]
        found = torch.autograd.grad(
            loss, places, call.start([loss])[0], retain_graph=True, allow_unused=True
        )
        rows.fill(row, found, 1 / (call.scale * count))  # of the mean over processes
    solved = balance(call, rows)
    own = own_weights(call, solved.weights, solved.inner)
    values = call.stacked()
    factors = torch.ones_like(values) if own is None else own.to(values)
    combined = rows.views(solved.direction * (call.scale * count))
    hooks = [
        tensor.register_hook(lambda plain, each=each: each.to(plain.dtype))  # type: ignore[no-untyped-call]  # torch's
        for tensor, each in zip(tensors, combined, strict=True)
    ]
    shards.keep_gathered(False)
    leaves = call.leaves.every
    try:
        with averaged_passes(call):
            call.accumulate([values], [factors * call.scale], leaves, retain_graph=call.keep_graph)
    finally:
        for hook in hooks:
            hook.remove()
    check_listed(call)
    return solved_result(call, solved, "representation")
