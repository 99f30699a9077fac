"""The processes that train one model together: what each gives, joined to what one would have.

All processes hold the same model and plan the same steps, and each computes its share of the rows.
`Processes` adds up what they found. Every call is collective: all processes make the same calls in
the same order, also those without a row. With one process each returns what it was given.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

V = TypeVar("V")


class ProcessLost(RuntimeError):
    """Another process of the group ended, or cannot be reached."""


@contextmanager
def talking() -> Iterator[None]:
    """Around a call that waits for other processes: raise `ProcessLost` if it fails."""
    try:
        yield
    except RuntimeError as error:  # all that gloo and NCCL raise
        why = str(error).splitlines()[0].split(". This is typically")[0]
        raise ProcessLost(
            f"another process of this run ended, or cannot be reached ({why})"
        ) from error


class Processes:
    """One process alone; `Group` is several.

    Example:
        >>> alone = Processes()
        >>> alone.count, alone.share(5), alone.total(torch.tensor([2.0]))
        (1, slice(0, 5, None), tensor([2.]))
    """

    rank: int = 0
    """Number of this process."""
    count: int = 1
    """Number of processes."""
    several: bool = False
    """Whether there is more than one."""
    group: distributed.ProcessGroup | None = None
    """What torch.distributed knows them by."""
    device: torch.device = torch.device("cpu")
    """Where small tensors that they exchange must be."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """Return which of some rows this process computes: consecutive, the first take one more."""
        return share_of(rows, self.rank, self.count)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, a new tensor, equal bit for bit on all of them."""
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes, whose derivative is that of this process's values.

        It is equal bit for bit on all of them.

        Where gradients are averaged over the processes, the value is that of all rows, and so is
        the gradient of everything that is computed from it.
        """
        return values

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the processes, in place."""

    def begin_total(self, flat: Tensor) -> Callable[[], None]:
        """Start to replace a contiguous tensor by its sum over the processes.

        Returns:
            A function that waits until it is complete.
        """
        return lambda: None

    def columns(self, size: int) -> slice:
        """Return which of ``size`` P columns are this process's share.

        Columns are consecutive, ceil(P / count) of them, the last processes have fewer.
        """
        return slice(0, size)

    def begin_share_of_total(self, rows: Tensor) -> Callable[[], None]:
        """Start to replace this process's `columns` of ``rows`` (T, P) by their sum.

        The sum is that over the processes. It costs half of `begin_total`; other columns stay.

        Returns:
            A function that waits until it is complete; until then ``rows`` may not be written.
        """
        return lambda: None

    def joined_shares(self, share: Tensor, size: int) -> Tensor:
        """Join the shares, each the `columns` of a row of ``size`` P, in new memory."""
        return share

    def any(self, found: Sequence[bool]) -> list[bool]:
        """Return for each place whether some process found it."""
        return list(found)

    def of_each(self, thing: V) -> list[V]:
        """Return what each process gave, any picklable object, in the order of the processes."""
        return [thing]

    def of_first(self, thing: V) -> V:
        """Return what the first process gave."""
        return thing

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process run a block before the others do."""
        yield

    def wait(self) -> None:
        """Wait until all processes are here."""


ALONE = Processes()


class Group(Processes):
    """The processes of a group of ``torch.distributed``.

    Args:
        group: The group; all processes if left out.
    """

    def __init__(self, group: distributed.ProcessGroup | None = None) -> None:
        self.group = distributed.group.WORLD if group is None else group
        self.rank, self.count = distributed.get_rank(group), distributed.get_world_size(group)
        self.several = self.count > 1
        if distributed.get_backend(group) == "nccl":
            self.device = torch.device("cuda", torch.cuda.current_device())

    def total(self, values: Tensor) -> Tensor:
        found = values.detach().clone(memory_format=torch.contiguous_format)
        with talking():
            distributed.all_reduce(found, group=self.group)
        return found

    def mean(self, values: Tensor) -> Tensor:
        found = self.total(values) / self.count
        return with_value(values, found) if values.requires_grad else found

    def average(self, tensors: Sequence[Tensor]) -> None:
        for some in _alike(tensors):
            flat = torch.cat([each.detach().reshape(-1) for each in some])
            with talking():
                distributed.all_reduce(flat, group=self.group)
            parts = torch.split(flat.div_(self.count), [each.numel() for each in some])
            for each, part in zip(some, parts, strict=True):
                each.detach().copy_(part.view_as(each))

    def begin_total(self, flat: Tensor) -> Callable[[], None]:
        with talking():
            work = distributed.all_reduce(flat, group=self.group, async_op=True)

        def wait() -> None:
            assert work is not None
            with talking():
                work.wait()

        return wait

    def columns(self, size: int) -> slice:
        width = -(-size // self.count)
        return slice(min(size, self.rank * width), min(size, (self.rank + 1) * width))

    def begin_share_of_total(self, rows: Tensor) -> Callable[[], None]:
        # as a reduce-scatter, of which gloo has none that is as fast
        count, size = rows.shape
        width = -(-size // self.count)
        widths = [max(0, min(width, size - rank * width)) for rank in range(self.count)]
        mine = rows[:, self.columns(size)]
        parts = list(torch.split(rows, widths, dim=1)) if count > 1 else []
        sent = torch.cat([each.reshape(-1) for each in parts]) if parts else rows[0]
        given = [count * each for each in widths]
        wanted = [mine.numel()] * self.count
        found = rows.new_empty(sum(wanted))
        with talking():
            work = distributed.all_to_all_single(
                found, sent, wanted, given, group=self.group, async_op=True
            )

        def wait() -> None:
            assert work is not None
            with talking():
                work.wait()
            first, *others = found.view(self.count, *mine.shape)
            torch.add(first, others[0], out=mine)
            for each in others[1:]:
                mine.add_(each)

        return wait

    def joined_shares(self, share: Tensor, size: int) -> Tensor:
        width = -(-size // self.count)
        found = share.new_empty(self.count * width)
        given = torch.cat([share, share.new_zeros(width - len(share))])
        with talking():
            distributed.all_gather(list(torch.split(found, width)), given, group=self.group)
        return found[:size]

    def any(self, found: Sequence[bool]) -> list[bool]:
        there = torch.tensor(found, dtype=torch.float32, device=self.device)
        numbers: list[float] = self.total(there).tolist()
        return [number > 0 for number in numbers]

    def of_each(self, thing: V) -> list[V]:
        found: list[Any] = [None] * self.count
        with talking():
            distributed.all_gather_object(found, thing, group=self.group)
        return found

    def of_first(self, thing: V) -> V:
        found: list[Any] = [thing]
        with talking():
            distributed.broadcast_object_list(found, group=self.group, group_src=0)
        value: V = found[0]
        return value

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        if not self.first:
            self.wait()
        try:
            yield
        finally:
            if self.first:
                self.wait()

    def wait(self) -> None:
        self.total(torch.zeros(1, device=self.device))


def with_value(tensor: Tensor, value: Tensor) -> Tensor:
    """Return a tensor of another value, to the last bit, whose derivative is that of ``tensor``."""
    found: Tensor = _WithValue.apply(tensor, value)  # type: ignore[no-untyped-call]  # torch's
    return found


class _WithValue(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def share_of(rows: int, rank: int, count: int) -> slice:
    """Return the rows of one of ``count`` processes."""
    size, more = divmod(rows, count)
    start = rank * size + min(rank, more)
    return slice(start, start + size + (rank < more))


def processes_of(group: distributed.ProcessGroup | None = None) -> Processes:
    """Return the processes of a group; of all of torch.distributed, if it runs, without one."""
    if group is None and not (distributed.is_available() and distributed.is_initialized()):
        return Processes()
    found = Group(group)
    return found if found.several else Processes()


def _alike(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Divide tensors into those of one dtype and device each."""
    kinds: dict[Any, list[Tensor]] = {}
    for each in tensors:
        kinds.setdefault((each.dtype, each.device), []).append(each)
    yield from kinds.values()
