"""Batches from elsewhere: a `torch.utils.data.DataLoader`, or a list of batches.

The loader decides their sizes and order; training's batch size and seed have no effect on them, so
a resumed run sees the rows in another order unless the loader repeats its order. The targets of all
batches are read once, in a pass of their own, and kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from motet.data.arrays import ArrayData
from motet.data.batches import FORM, Batch, S
from motet.data.finite import Look
from motet.problems import InputError
from motet.states import join_rows


class LoaderData:
    """Batches of an iterable that can be iterated repeatedly.

    Args:
        loader: Yields ``{"inputs": ..., "targets": {task: ...}}`` with values that `ArrayData`
            takes; float64 tensors, which a DataLoader makes of arrays, become float32, too. A task
            may be absent from some batches, and ``targets`` if only predictions are needed.
        device: Device of the batches.

    Raises:
        InputError: If the loader can be iterated only once, has no batch, or yields something
            else; errors of batches are raised when they are read.

    Example:
        >>> batches = [{"inputs": [[1.0]], "targets": {"a": [2.0]}}, {"inputs": [[3.0], [4.0]]}]
        >>> data = LoaderData(batches)
        >>> [len(batch) for batch in data.batches(512)], data.steps(512)
        ([1, 2], 2)
        >>> data.targets
        {'a': tensor([2.])}
    """

    def __init__(self, loader: Iterable[Any], device: torch.device | str | None = None) -> None:
        if isinstance(loader, Iterator):
            raise InputError(
                f"data: found a {type(loader).__name__}, which yields its batches only once; "
                "expected batches for every epoch; pass a DataLoader or a list of batches"
            )
        self._loader = loader
        self._device = device
        self._known: tuple[dict[str, Tensor], int] | None = None
        self._named: set[str] = set()
        self.checked = False
        """Whether training has checked the targets."""
        self.look: Look | None = None
        """Called with the inputs of each batch in the first pass through all."""

    @property
    def targets(self) -> Mapping[str, Tensor]:
        """All targets by task, on the device, in the order of the first pass."""
        return self._seen[0]

    @property
    def named(self) -> frozenset[str]:
        """The tasks that batches name, also those whose targets are None."""
        return frozenset(self._named) if self._seen else frozenset()

    def label_statistics(self, of: Mapping[str, Callable[[Tensor], S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks; see `Data`."""
        known = self.targets
        return {task: learn(known[task]) for task, learn in of.items() if task in known}

    def steps(self, size: int) -> int:
        """Return the number of batches, whatever ``size`` is."""
        return self._seen[1]

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Yield the loader's batches, in its own size and order, without the first ``done``."""
        set_epoch = getattr(getattr(self._loader, "sampler", None), "set_epoch", None)
        if set_epoch is not None:  # a DistributedSampler shuffles by it
            set_epoch(number)
        return islice(self.batches(size), done, None)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the loader's batches as tensors on the device.

        Raises:
            InputError: If one is not a batch.
        """
        yield from self._batches(None)

    def _batches(self, look: Look | None) -> Iterator[Batch]:
        for number, given in enumerate(self._loader):
            batch, named = _taken(given, f"batch {number}")
            self._named |= named
            if look is not None:
                look(batch.inputs, f"batch {number}")
            yield batch.to(self._device)

    def once(self, size: int) -> Iterator[tuple[None, Batch]]:
        """Yield the loader's batches, as they come."""
        look = self.look if self._known is None else None
        for batch in self._batches(look):
            yield None, batch

    def to(self, device: torch.device | str) -> "LoaderData":
        """Return the same batches, moved to a device as they come."""
        moved = LoaderData(self._loader, device)
        if self._known is not None:
            targets, steps = self._known
            moved._known = {task: each.to(device) for task, each in targets.items()}, steps
        moved.look, moved._named = self.look, self._named
        return moved

    @property
    def _seen(self) -> tuple[dict[str, Tensor], int]:
        """All targets and the number of batches; the first time this costs a pass."""
        if self._known is None:
            found: dict[str, list[Tensor]] = {}
            steps = 0
            for batch in self._batches(self.look):
                steps += 1
                for task, values in batch.targets.items():
                    assert values is not None
                    found.setdefault(task, []).append(values)
            if not steps:
                raise InputError("data: found a loader without batches; expected at least one")
            self._known = {task: join_rows(values) for task, values in found.items()}, steps
        return self._known


def as_data(data: Any, what: str) -> ArrayData | LoaderData:
    """Accept what users give as data.

    Args:
        data: ``(inputs, {task: targets})``, a DataLoader or list of batches, or what this returned.
        what: What it is, to begin messages with.

    Returns:
        The data, as `Data` describes.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(data, (ArrayData, LoaderData)):
        return data
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Mapping):
        return ArrayData(*data)
    if isinstance(data, Iterable) and not (
        isinstance(data, (str, bytes, Mapping, tuple)) or hasattr(data, "shape")
    ):
        return LoaderData(data)
    found = type(data).__name__
    if isinstance(data, tuple):
        found += f" ({', '.join(type(each).__name__ for each in data)})"
    raise InputError(
        f"{what}: found a {found}; expected (inputs, {{task: targets}}), or a DataLoader "
        f"whose batches are mappings: {FORM}"
    )


def _taken(given: Any, what: str) -> tuple[Batch, frozenset[str]]:
    """Return a loader's batch as tensors, and the tasks that it names."""
    if isinstance(given, Mapping):
        given = {"targets": {}, **given}
    batch = Batch.of(given, what)
    return batch.tensors(what).single(), frozenset(batch.targets)
