"""What the processes of one call have in common: its tasks, and the values of their losses.

One small sum over the processes joins them before anything is computed. An error on one process is
raised on all, as the others would wait for it.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.inputs import given_tensors
from motet.balancing.engine.shards import check_all_have
from motet.balancing.families import Balancer
from motet.problems import InputError
from motet.processes import Processes


@contextmanager
def failing_together(processes: Processes, tasks: int) -> Iterator[None]:
    """Report to other processes an `InputError` inside, as they wait in `joined_call`.

    Args:
        processes: The processes.
        tasks: Number T of all tasks.

    Raises:
        InputError: That of the block.
    """
    try:
        yield
    except InputError:
        _total(processes, torch.ones(1), torch.zeros(_OF_CALL + 2 * tasks))
        raise


def joined_call(call: BackwardCall, processes: Processes) -> BackwardCall:
    """Return a call with the tasks that some process has, and the values of all processes.

    Args:
        call: This process's call, made in `failing_together`.
        processes: The processes.

    Returns:
        The call, alike on all processes but for the graphs of its losses.

    Raises:
        InputError: If another process failed, the calls are different, or no process has a loss
            with a graph.
    """
    tasks = len(call.balancer.tasks)
    sums = _total(processes, torch.zeros(1), _described(call))
    failed, pieces, wide, mark, square, given, count, squares = sums[: 1 + _OF_CALL].tolist()
    if failed:
        raise InputError("motet.backward failed on another process, whose message gives the reason")
    if square * processes.count != mark**2 or squares * given != count**2:
        raise InputError(_DIFFERENT)
    present, values = sums[1 + _OF_CALL :].view(2, tasks)
    if call.shards is not None:
        check_all_have(call.balancer.tasks, present.tolist(), processes)
    here = present.nonzero().flatten().tolist()
    if not here:
        raise InputError("no process has a loss with a graph, expected at least one")
    dtype, device = torch.float64 if wide else torch.float32, call.leaves.shared[0].device
    joined = (values[here] / processes.count).to(device, dtype)
    zero = torch.zeros((), dtype=dtype, device=device)
    names = [call.balancer.tasks[place] for place in here]
    return replace(
        call,
        losses={name: call.losses.get(name, zero) for name in names},
        joined=joined if call.solve else None,  # else those of this micro-batch are added up
        in_pieces=bool(pieces),
        places=round(count / given) if given else 0,
    )


_OF_CALL = 7
_DIFFERENT = (
    "the processes call motet.backward with different arguments; expected the same balancer, "
    "options, number of tensors in `representation`, `shared` and `task_parameters` (their number, "
    "order, shapes, dtypes and which are frozen) on all"
)


def _total(processes: Processes, failed: Tensor, more: Tensor) -> Tensor:
    together = torch.cat([failed.double(), more.double()])
    return processes.total(together.to(processes.device)).cpu()


def _described(call: BackwardCall) -> Tensor:
    """Return what is added up: facts of the call; which tasks have a loss; their losses."""
    tasks = call.balancer.tasks
    before = {} if call.previous is None else call.previous.losses
    trained = {*before, *(task for task, loss in call.losses.items() if loss.requires_grad)}
    wide = any(loss.dtype == torch.float64 for loss in [*before.values(), *call.losses.values()])
    mark, count = float(_mark(call)), float(len(given_tensors(call.representation)))
    facts = [not call.whole, wide, mark, mark**2, count > 0, count, count**2]
    present = [task in trained for task in tasks]
    values = _by_task(before, tasks) + _by_task(call.losses, tasks)
    return torch.cat([torch.tensor([*facts, *present], dtype=torch.float64), values])


def _by_task(losses: Mapping[str, Tensor], tasks: Sequence[str]) -> Tensor:
    """Return losses (T,) on the CPU, 0 where there is none."""
    found = torch.zeros(len(tasks), dtype=torch.float64)
    if losses:
        values = torch.stack([loss.detach().double() for loss in losses.values()])
        found[[tasks.index(task) for task in losses]] = values.cpu()  # a device sync
    return found


def _mark(call: BackwardCall) -> int:
    """Return a number that is most likely another one for other arguments; its square is exact."""
    assert call.given is not None
    words = [type(call.balancer).__name__, *call.balancer.tasks, call.at, call.memory, call.gramian]
    words += [f"{name}={value}" for name, value in _options_of(call.balancer)]
    words += [str(leaf.dtype) for leaf in call.given.every]
    shapes = tuple(tuple(leaf.shape) for leaf in call.given.every)  # hashes of numbers are fixed
    facts = len(call.given.shared), call.weighted, call.scale, call.penalty is None
    return (hash((shapes, facts)) ^ zlib.crc32(" ".join(words).encode())) % (1 << 24)


def _options_of(balancer: Balancer) -> Iterator[tuple[str, object]]:
    """Yield the options of a balancer that are numbers or names."""
    for name, value in vars(balancer).items():
        chosen = isinstance(value, bool | int | float | str) and name not in _FOUND
        if chosen and not name.startswith("_"):
            yield name, value


_FOUND = ("status", "resolution")
"""What a step of a balancer found, and no option."""
