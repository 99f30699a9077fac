"""Gradients averaged over processes, in buckets that are sent while autograd still runs.

Every process gives the same leaves in the same order. A leaf that a process does not reach counts
as 0 there; one that no process reaches keeps its ``.grad``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from motet.balancing.engine.averaging_tables import average_tables, may_be_table
from motet.balancing.engine.gradient_rows import sparse_like
from motet.processes import Processes

_BUCKET = 1 << 20
"""Numbers that are sent together, at least; a larger leaf is sent alone."""


@dataclass
class _Bucket:
    """Leaves of one dtype and device whose gradients are sent together."""

    leaves: list[Tensor]
    found: dict[int, Tensor | None] = field(default_factory=dict)
    """What this process found for each leaf, by its id, until it is sent."""
    rows: dict[int, Tensor] = field(default_factory=dict)
    """Indices (S, N) of sparse gradients."""
    sent: Tensor | None = None
    """Flat gradients; then for each leaf how many processes reach it, and with a dense gradient."""
    wait: Callable[[], None] | None = None

    @property
    def complete(self) -> bool:
        return len(self.found) == len(self.leaves)

    def send(self, processes: Processes) -> None:
        found = [self.found.get(id(leaf)) for leaf in self.leaves]
        like = self.leaves[0]
        parts = [
            like.new_zeros(leaf.numel())
            if each is None
            else (each.to_dense() if each.is_sparse else each).to(leaf.dtype).reshape(-1)
            for leaf, each in zip(self.leaves, found, strict=True)
        ]
        reached = [each is not None for each in found]
        dense = [each is not None and not each.is_sparse for each in found]
        flags = torch.tensor([reached, dense], dtype=like.dtype, device=like.device)
        self.rows = {
            k: g._indices().cpu() for k, g in self.found.items() if g is not None and g.is_sparse
        }
        self.found.clear()
        self.sent = torch.cat([*parts, flags.flatten()]).div_(processes.count)
        self.wait = processes.begin_total(self.sent)


class Averaging:
    """Averages gradients of some leaves.

    Args:
        leaves: The leaves, alike on all processes; those that autograd reaches last come first.
        processes: The processes.
    """

    def __init__(self, leaves: Sequence[Tensor], processes: Processes) -> None:
        self._processes = processes
        self._buckets: list[_Bucket] = []
        self._sent = 0
        self._tables = {id(leaf): leaf for leaf in leaves if may_be_table(leaf)}
        self._found: dict[int, Tensor | None] = {}  # for those
        size, kind = 0, None
        for leaf in reversed(leaves):
            if id(leaf) in self._tables:
                continue
            if size >= _BUCKET or kind != (leaf.dtype, leaf.device) or not self._buckets:
                self._buckets.append(_Bucket([]))
                size, kind = 0, (leaf.dtype, leaf.device)
            self._buckets[-1].leaves.append(leaf)
            size += leaf.numel()
        self._of = {id(leaf): bucket for bucket in self._buckets for leaf in bucket.leaves}

    def add(self, leaf: Tensor, gradient: Tensor | None) -> None:
        """Take the gradient of a leaf, and send the next buckets if they are complete."""
        if id(leaf) in self._tables:
            self._found[id(leaf)] = gradient
            return
        bucket = self._of[id(leaf)]
        bucket.found[id(leaf)] = gradient
        while self._sent < len(self._buckets) and self._buckets[self._sent].complete:
            self._send()

    def means(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Send what is left.

        Yields:
            Each leaf that some process reaches, and the mean of its gradients.
        """
        while self._sent < len(self._buckets):
            self._send()
        if self._tables:
            tables, found = list(self._tables.values()), self._found
            yield from average_tables(tables, [found.get(id(t)) for t in tables], self._processes)
        for bucket in self._buckets:
            assert bucket.wait is not None
            assert bucket.sent is not None
            bucket.wait()
            count = len(bucket.leaves)
            sizes = [leaf.numel() for leaf in bucket.leaves]
            *parts, flags = torch.split(bucket.sent, [*sizes, 2 * count])
            reached, dense = (flags > 0).view(2, count).tolist()  # a device sync
            for leaf, part, here, all_of_it in zip(
                bucket.leaves, parts, reached, dense, strict=True
            ):
                mean = part.view(leaf.shape)
                if here and not all_of_it:
                    each = self._processes.of_each(bucket.rows.get(id(leaf)))
                    rows = torch.cat([known for known in each if known is not None], dim=1)
                    mean = sparse_like(mean, rows.to(mean.device))
                if here:
                    yield leaf, mean

    def _send(self) -> None:
        self._buckets[self._sent].send(self._processes)
        self._sent += 1


@contextmanager
def taken(averaging: Averaging, leaves: Sequence[Tensor]) -> Iterator[None]:
    """Take the gradients of some leaves as soon as autograd finds them.

    Not by their post-accumulate hooks: those are run by no other pass than one into ``.grad``, in
    which modules that are wrapped by DistributedDataParallel would average on their own, too.
    """
    handles = [
        leaf.register_hook(partial(_take, averaging, leaf))  # type: ignore[no-untyped-call]
        for leaf in leaves
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _take(averaging: Averaging, leaf: Tensor, gradient: Tensor) -> Tensor | None:
    averaging.add(leaf, gradient)
    if gradient.is_sparse:
        return None
    return gradient.new_zeros(()).expand_as(gradient)  # so that what was sent is freed
