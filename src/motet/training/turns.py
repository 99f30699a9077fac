"""Batches that processes compute in turns: each one by one process, and known to all, in order.

Unlike a training step, whose rows are divided, a batch stays whole: what is computed of it is what
one process would compute, bit for bit. Every process must read the same batches.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from motet.processes import Processes

T = TypeVar("T")
R = TypeVar("R")


def in_turns(
    processes: Processes,
    things: Iterable[T],
    compute: Callable[[int, T], R],
    device: torch.device | str,
) -> Iterator[R]:
    """Compute something of each thing, for example of batches.

    Args:
        processes: The processes; one alone computes all.
        things: The same on every process.
        compute: Called with the number of a thing, and the thing, by one of the processes. It
            returns tensors, or tuples, lists and dictionaries of them.
        device: Where to put what other processes computed.

    Yields:
        What was computed, on every process, in the order of the things.
    """
    count, done = processes.count, 0
    mine: R | None = None
    for number, thing in enumerate(things):
        if number % count == processes.rank:
            mine = compute(number, thing)
        done = number + 1
        if done % count == 0:
            yield from _known(processes, mine, device)
            mine = None
    if done % count:
        yield from _known(processes, mine, device)[: done % count]


def _known(processes: Processes, mine: Any, device: torch.device | str) -> list[Any]:
    if not processes.several:
        return [mine]
    found = processes.of_each(_moved(mine, "cpu"))
    return [_moved(each, device) for each in found]


def _moved(thing: Any, device: torch.device | str) -> Any:
    if isinstance(thing, Tensor):
        return thing.to(device)
    if isinstance(thing, dict):
        return {name: _moved(each, device) for name, each in thing.items()}
    if isinstance(thing, tuple | list):
        made = [_moved(each, device) for each in thing]
        return type(thing)(*made) if hasattr(thing, "_fields") else type(thing)(made)
    return thing
