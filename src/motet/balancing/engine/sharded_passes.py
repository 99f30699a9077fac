"""Backward passes where each process holds a part of the parameters (FSDP2).

A pass goes into ``.grad`` and ends with a reduce-scatter, so what other passes have put there is
set aside meanwhile. Parameters that every process has as a whole, such as those of small heads, get
the mean over the processes here, as those in parts do from FSDP.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from motet.balancing.engine import workspace
from motet.balancing.engine.averaging import Averaging
from motet.balancing.engine.call import BackwardCall, Shards
from motet.balancing.engine.graph import place, walk
from motet.balancing.engine.looks import is_due
from motet.balancing.engine.result import Own
from motet.balancing.engine.shards import ShardRows, is_part, local
from motet.balancing.engine.solving import own_weights
from motet.balancing.families import Balancer
from motet.problems import InputError


def shard_rows(call: BackwardCall, shards: Shards) -> tuple[ShardRows, Own]:
    """Compute this process's part of the gradient of each task.

    Returns:
        Those on the shared leaves; and those on the tasks' own, where they wait to be weighted.
    """
    shared, own = call.leaves.shared, call.leaves.others
    rows = ShardRows(shared, call.tasks, workspace.lend(call.balancer), shards.processes)
    waiting: Own = []
    plain = nullcontext() if call.own_waits else averaged_passes(call)
    with plain, set_aside([*shared, *own] if call.own_waits else shared):
        for row, task in enumerate(call.tasks):
            more = task != call.tasks[-1]
            shards.keep_gathered(more)
            outputs = [call.losses[task]]
            call.accumulate(
                outputs, call.start(outputs), [*shared, *own], retain_graph=more or call.keep_graph
            )
            found = [None if each is None else local(each) for each in taken(shared)]
            rows.fill(row, found, 1 / call.scale)
            if call.own_waits:
                gradients = mean_of(shards, own, taken(own))
                pairs = zip(own, gradients, strict=True)
                waiting += [(task, leaf, each) for leaf, each in pairs if each is not None]
    check_listed(call, [leaf for _, leaf, _ in waiting])
    return rows, waiting


def sharded_weighted_pass(
    call: BackwardCall,
    shards: Shards,
    shared: Sequence[Tensor],
    others: Sequence[Tensor],
    weights: Tensor,
    inner: Tensor | None,
) -> None:
    """Add the gradient of the weighted losses to ``.grad``; a second pass for plain ``others``."""
    values = call.stacked()
    factors = weights.to(values)
    own = own_weights(call, weights, inner)
    plain = torch.ones_like(factors) if own is None else own.to(values)
    passes = [(factors, [*shared, *others])]
    if others and not call.weighted:
        passes = [(factors, list(shared)), (plain, list(others))]
    everything = [*shared, *others]
    for number, (each, wanted) in enumerate(passes, 1):
        more = number < len(passes)
        shards.keep_gathered(more)
        with set_aside(everything):
            call.accumulate(
                [values], [each * call.scale], everything, retain_graph=more or call.keep_graph
            )
            found = taken(wanted)
        call.add_all(wanted, mean_of(shards, wanted, found))


@contextmanager
def set_aside(leaves: Sequence[Tensor]) -> Iterator[None]:
    """Let passes find no ``.grad`` at some leaves, and put it back."""
    before = taken(leaves)
    try:
        yield
    finally:
        for leaf, gradient in zip(leaves, before, strict=True):
            leaf.grad = gradient


@contextmanager
def averaged_passes(call: BackwardCall) -> Iterator[None]:
    """Let passes add to ``.grad`` of whole leaves that some task has alone the mean over processes.

    Nothing is done where no process holds parts of the shared parameters.
    """
    if call.shards is None:
        yield
        return
    whole = [leaf for leaf in call.leaves.others if not is_part(leaf)]
    with set_aside(whole):
        yield
        found = taken(whole)
    call.add_all(whole, mean_of(call.shards, whole, found))


def taken(leaves: Sequence[Tensor]) -> list[Tensor | None]:
    """Return ``.grad`` of some leaves, and leave none."""
    found = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    return found


def mean_of(
    shards: Shards, leaves: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return gradients with those of whole leaves averaged; None where no process has one."""
    given = dict(zip(map(id, leaves), gradients, strict=True))
    whole = [leaf for leaf in leaves if not is_part(leaf)]
    averaging = Averaging(whole, shards.processes)
    for leaf in whole:
        averaging.add(leaf, given[id(leaf)])
    known = {id(leaf): mean for leaf, mean in averaging.means()}
    return [known.get(id(leaf)) if not is_part(leaf) else given[id(leaf)] for leaf in leaves]


_CALLS: WeakKeyDictionary[Balancer, int] = WeakKeyDictionary()


def check_listed(call: BackwardCall, waiting: Sequence[Tensor] = ()) -> None:
    """Refuse lists of a call that did not name the parameters that its losses reach.

    Looked for after the passes of calls that `is_due` names. Of whole parameters that are in no
    list, nothing averages the gradients over the processes; FSDP's gathered parameters, which a
    list made after the forward pass may hold, never get any.

    Args:
        call: The call.
        waiting: Leaves that got a gradient that is not in ``.grad`` yet.

    Raises:
        InputError: If a parameter is not listed, or as FSDP gathered it.
    """
    calls = _CALLS.get(call.balancer, 0)
    _CALLS[call.balancer] = calls + 1
    if not is_due(calls):
        return
    known, later = set(map(id, call.leaves.others)), set(map(id, waiting))
    for leaf in walk([place(loss) for loss in call.losses.values()]).leaves:
        if not isinstance(leaf, nn.Parameter):
            continue
        shape, written = tuple(leaf.shape), leaf.grad is not None or id(leaf) in later
        if written and id(leaf) not in known:
            raise InputError(
                f"a loss reaches a parameter of shape {shape} that is not in parts (FSDP), and "
                "neither in `shared` nor in `task_parameters`: nothing averages its gradient over "
                "the processes. List it in task_parameters, or apply fully_shard to it"
            )
        if id(leaf) in known and not written:
            raise InputError(
                f"task_parameters holds a parameter of shape {shape} that FSDP gathered for the "
                "forward pass, which never gets a gradient; give the module, or a list made before"
            )
