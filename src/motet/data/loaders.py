"""Batches that somebody else makes: a `torch.utils.data.DataLoader`, or a list of batches.

Their sizes and order are the loader's own: the batch size and seed of training do not reach them,
so a run that was resumed sees the rows in another order unless the loader draws the same again.
The targets of all batches are read once, in a pass of its own, and kept.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from motet.data.batches import ArrayData, Batch
from motet.data.finite import Look
from motet.problems import InputError, hint, shown
from motet.states import join_rows

_EXPECTED = 'expected {"inputs": ..., "targets": {task: ...}}'


class LoaderData:
    """Batches of an iterable that can be gone through again and again.

    Args:
        loader: Yields ``{"inputs": ..., "targets": {task: ...}}``, whose values are as `ArrayData`
            takes them, but that float64 tensors become float32 too: a DataLoader makes them of
            arrays. A task may be absent from some batches, and ``targets`` where nothing but
            predictions is asked for.
        device: Where batches are put.

    Raises:
        InputError: If the loader can be gone through only once, has no batch, or its batches are
            something else; about batches, not before they are read.

    Example:
        >>> batches = [{"inputs": [[1.0]], "targets": {"a": [2.0]}}, {"inputs": [[3.0], [4.0]]}]
        >>> data = LoaderData(batches)
        >>> [len(batch["inputs"]) for batch in data.batches(512)], data.steps(512)
        ([1, 2], 2)
        >>> data.targets
        {'a': tensor([2.])}
    """

    def __init__(self, loader: Iterable[Any], device: torch.device | str | None = None) -> None:
        if isinstance(loader, Iterator):
            raise InputError(
                f"the data are a {type(loader).__name__}, which gives its batches only once, but "
                "every epoch needs them; pass a DataLoader or a list of batches"
            )
        self._loader = loader
        self._device = device
        self._known: tuple[dict[str, Tensor], int] | None = None
        self._named: set[str] = set()
        self.checked = False
        """Whether training has looked at the targets."""
        self.look: Look | None = None
        """Called with the inputs of each batch when all are gone through for the first time."""

    @property
    def targets(self) -> Mapping[str, Tensor]:
        """All targets by task, on the device, in the order of the first pass."""
        return self._seen[0]

    @property
    def named(self) -> frozenset[str]:
        """The tasks that batches name, also those whose targets are None."""
        return frozenset(self._named) if self._seen else frozenset()

    def steps(self, size: int) -> int:
        """Return how many batches there are, whatever ``size`` says."""
        return self._seen[1]

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Yield the loader's batches, without the first ``done``; the rest is the loader's own."""
        set_epoch = getattr(getattr(self._loader, "sampler", None), "set_epoch", None)
        if set_epoch is not None:  # a DistributedSampler shuffles by it
            set_epoch(number)
        return islice(self.batches(size), done, None)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the loader's batches as tensors on the device.

        Raises:
            InputError: If one is no batch.
        """
        yield from self._batches(None)

    def _batches(self, look: Look | None) -> Iterator[Batch]:
        for number, given in enumerate(self._loader):
            batch = _rows(given, f"batch {number}")
            self._named.update(given.get("targets", ()))
            if look is not None:
                look(batch.inputs, f"batch {number}")
            if self._device is not None:
                batch = batch.to(self._device)
            yield {"inputs": batch.inputs, "targets": batch.targets}

    def once(self, size: int) -> Iterator[tuple[None, Batch]]:
        """Yield the loader's batches, as they come."""
        look = self.look if self._known is None else None
        for batch in self._batches(look):
            yield None, batch

    def to(self, device: torch.device | str) -> "LoaderData":
        """Return the same batches, put on a device as they come."""
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
            parts: dict[str, list[Tensor]] = {}
            steps = 0
            for batch in self._batches(self.look):
                steps += 1
                for task, values in batch["targets"].items():
                    parts.setdefault(task, []).append(values)
            if not steps:
                raise InputError("the loader has no batch, expected at least one")
            self._known = {task: join_rows(values) for task, values in parts.items()}, steps
        return self._known


def as_data(data: Any, what: str) -> ArrayData | LoaderData:
    """Take what a user gives for data.

    Args:
        data: ``(inputs, {task: targets})``, a DataLoader or list of batches, or what this returned.
        what: What it is, to begin messages with.

    Returns:
        Something that `Data` describes.

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
        f"{what}: found a {found}, expected (inputs, {{task: targets}}), or a DataLoader "
        f"whose batches are mappings: {_EXPECTED.removeprefix('expected ')}"
    )


def _rows(batch: Any, what: str) -> ArrayData:
    if not isinstance(batch, Mapping):
        raise InputError(f"{what} is {shown(batch)}, {_EXPECTED}")
    for key in batch:
        if key not in ("inputs", "targets"):
            raise InputError(f"{what} has the key {key!r}; {hint(str(key), ['inputs', 'targets'])}")
    targets = batch.get("targets", {})
    if "inputs" not in batch or not isinstance(targets, Mapping):
        raise InputError(f"{what} has {', '.join(map(str, batch))}, {_EXPECTED}")
    try:
        return ArrayData(batch["inputs"], targets).single()
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
