"""Task gradients computed row by row, and written to ``.grad`` once they are combined."""

from collections.abc import Sequence

from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine import workspace
from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.embedding_tables import Table
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.linear_layers import Layer, cotangents
from motet.balancing.engine.result import BackwardResult, Own
from motet.balancing.engine.sharded_passes import shard_rows
from motet.balancing.engine.shares import Shares
from motet.balancing.engine.solving import balance, own_weights, solved_result


def by_task_rows(
    call: BackwardCall, path: str, layers: Sequence[Layer] = (), tables: Sequence[Table] = ()
) -> BackwardResult:
    """Balance on one row per task, with some layers as products, and some tables by rows used."""
    rows, own = task_rows(call, layers, tables)
    result = write_balanced(call, rows, own, path)
    workspace.give_back(call.balancer, rows.memory)
    return result


def task_rows(
    call: BackwardCall, layers: Sequence[Layer] = (), tables: Sequence[Table] = ()
) -> tuple[GradientRows, Own]:
    """Compute the gradient of each task.

    Returns:
        Those on the shared leaves; and those on the tasks' own, where they wait to be weighted.
    """
    if call.shards is not None:
        return shard_rows(call, call.shards)
    leaves = call.leaves
    inside = {id(leaf) for layer in layers for leaf in layer.leaves}
    inside |= {id(table.weight) for table in tables}
    outside = [leaf for leaf in leaves.shared if id(leaf) not in inside]
    rows = GradientRows(outside, call.tasks, workspace.lend(call.balancer), layers, tables)
    if call.shares_columns and call.whole:  # else they are added to those of micro-batches first
        rows.shares = Shares(rows.jacobian, call.processes)
    own: Own = []
    for row, task in enumerate(call.tasks):
        found = fill_row(call, rows, row, leaves.own[task])
        if call.own_waits:
            pairs = zip(leaves.own[task], found, strict=True)
            own += [(task, leaf, gradient) for leaf, gradient in pairs if gradient is not None]
        else:
            call.add_all(leaves.own[task], found)
    return rows, own


def fill_row(
    call: BackwardCall, rows: GradientRows, row: int, own: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Write the gradient of one task, which is freed while its memory is in the cache.

    Returns:
        The gradient on the task's own leaves.
    """
    edges, task = rows.edges, call.tasks[row]
    wanted: list[Tensor | GradientEdge] = [*rows.leaves, *edges, *own]
    begun = call.begun.get(task)
    known = None if begun is None else {begun.place: begun.cotangent}
    with cotangents([edge.node for edge in edges], known) as seen:
        found = call.gradients(task, wanted)
    count = len(rows.leaves)
    given = iter([seen.get(k, found[count + k]) for k in range(len(edges))])
    lookups = [[next(given) for _ in table.lookups] for table in rows.tables] if rows.tables else ()
    products = [layer.joined([next(given) for _ in layer.uses]) for layer in rows.layers]
    rows.fill(row, [*found[:count], *products], 1 / call.scale, lookups)
    return found[count + len(edges) :]


def write_balanced(call: BackwardCall, rows: GradientRows, own: Own, path: str) -> BackwardResult:
    """Combine the rows, and add the direction and the weighted gradients to ``.grad``."""
    solved = balance(call, rows, in_place=True)
    direction = solved.direction if call.scale == 1 else solved.direction * call.scale
    combined = call.balancer.needs.reads != "jacobian"
    for leaf, gradient in rows.gradients(direction, combined=combined):
        add_to_grad(leaf, gradient, call.waiting, owned=True)
    if own:
        found = own_weights(call, solved.weights, solved.inner)
        weights = (
            dict.fromkeys(call.tasks)
            if found is None
            else dict(zip(call.tasks, found, strict=True))
        )
        for task, leaf, gradient in own:
            call.add_all([leaf], [gradient], weights[task])
    if call.processes.several:
        call.average()
    return solved_result(call, solved, path)
