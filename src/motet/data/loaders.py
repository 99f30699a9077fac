"""Batches from elsewhere: a `torch.utils.data.DataLoader`, or a list of batches.

The loader decides their sizes and order. Where it draws the order from torch's global generator, as
a DataLoader does without one of its own, `motet.Trainer` seeds that by (seed, epoch), so that the
order is the same in a resumed run and on every process. A separate first pass counts the batches,
checks them and learns from their labels; it keeps only statistics.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from motet.data.arrays import ArrayData
from motet.data.batches import FORM, Batch, Check, Learn, S
from motet.data.learner import Learner
from motet.data.stream import StreamData
from motet.problems import InputError


@dataclass(frozen=True)
class FirstPass:
    """What the first pass through a loader found."""

    steps: int
    """Number of batches."""
    named: frozenset[str]
    """The tasks that batches name, also those whose targets are None."""
    labelled: frozenset[str]
    """The tasks that have targets in some batch."""
    weighted: frozenset[str]
    """The tasks that have weights."""
    statistics: dict[str, Any]
    """What was learned from the labels, by task; None without any."""


class LoaderData:
    """Batches of an iterable that can be iterated repeatedly.

    Args:
        loader: Yields ``{"inputs": ..., "targets": {task: ...}}``, perhaps with ``"weights": {task:
            ...}``, with values that `ArrayData` takes; float64 tensors, which a DataLoader makes of
            arrays, become float32, too. A task may be absent from some batches, and ``targets`` if
            only predictions are needed.
        device: Device of the batches.

    Raises:
        InputError: If the loader can be iterated only once, has no batch, or yields something
            else; errors of batches are raised when they are read.

    Example:
        >>> batches = [{"inputs": [[1.0]], "targets": {"a": [2.0]}}, {"inputs": [[3.0], [4.0]]}]
        >>> data = LoaderData(batches)
        >>> [len(batch) for batch in data.batches(512)], data.steps(512)
        ([1, 2], 2)
        >>> data.labelled
        frozenset({'a'})
    """

    def __init__(self, loader: Iterable[Any], device: torch.device | str | None = None) -> None:
        if isinstance(loader, Iterator):
            raise InputError(
                f"data: found a {type(loader).__name__}, which yields its batches only once; "
                "expected batches for every epoch; pass a DataLoader or a list of batches"
            )
        self._loader = loader
        self._device = device
        self.checked = False
        """Whether training has checked the batches."""
        self._check: Check | None = None
        self._learn: Learn = {}
        self._first: FirstPass | None = None

    def inspect(self, check: Check | None, learn: Learn) -> None:
        """Choose what the first pass does; an earlier first pass is repeated.

        Args:
            check: Called with each batch, before it is moved to the device.
            learn: What `label_statistics` will be asked for.
        """
        self._check, self._learn, self._first = check, learn, None

    @property
    def divided(self) -> bool:
        """Whether a sampler gives each process batches of its own."""
        sampler = getattr(self._loader, "sampler", None)
        return isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the tasks that have targets in some batch."""
        return self._first_pass().labelled

    @property
    def weighted(self) -> frozenset[str]:
        """Names of the tasks that have weights."""
        return self._first_pass().weighted

    @property
    def named(self) -> frozenset[str]:
        """The tasks that batches name, also those whose targets are None."""
        return self._first_pass().named

    def label_statistics(self, of: Mapping[str, Callable[..., S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks; see `Data`.

        Labels that the first pass did not cover cost another pass.
        """
        if any(self._learn.get(task) != learn for task, learn in of.items()):
            self.inspect(self._check, of)
        found = self._first_pass().statistics
        return {task: found[task] for task in of if found[task] is not None}

    def steps(self, size: int) -> int:
        """Return the number of batches, whatever ``size`` is."""
        return self._first_pass().steps

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
        for batch, _ in self._read(None):
            yield batch.to(self._device)

    def once(self, size: int) -> Iterator[tuple[None, Batch]]:
        """Yield the loader's batches, as they come."""
        for batch, _ in self._read(self._check if self._first is None else None):
            yield None, batch.to(self._device)

    def to(self, device: torch.device | str) -> "LoaderData":
        """Return the same batches, moved to a device as they come."""
        moved = LoaderData(self._loader, device)
        moved._check, moved._learn, moved._first = self._check, self._learn, self._first
        return moved

    def kept(self) -> "LoaderData":
        """Return the same batches, read once and kept in memory, so that every pass has the same.

        A loader that shuffles, draws a subset or augments has others in each pass.

        Raises:
            InputError: If one is not a batch.
        """
        batches = []
        for batch, named in self._read(None):
            copied = batch.cloned()  # what workers share with this process is freed
            batches.append(replace(copied, targets={**dict.fromkeys(named), **copied.targets}))
        return LoaderData(batches, self._device)

    def _read(self, check: Check | None) -> Iterator[tuple[Batch, frozenset[str]]]:
        """Yield each batch on the loader's device, and the tasks that it names."""
        weighted: dict[str, bool] = {}
        for number, given in enumerate(self._loader):
            batch, named = _taken(given, f"batch {number}")
            _check_weighted(batch, weighted, f"batch {number}")
            if check is not None:
                check(batch, f"batch {number}")
            yield batch, named

    def _first_pass(self) -> FirstPass:
        """Return what the first pass found; the first time this costs a pass."""
        if self._first is None:
            steps, named, labelled = 0, frozenset[str](), frozenset[str]()
            weighted = frozenset[str]()
            learners = {task: Learner(learn) for task, learn in self._learn.items()}
            for batch, names in self._read(self._check):
                steps, named, labelled = steps + 1, named | names, labelled.union(batch.targets)
                weighted = weighted.union(batch.weights)
                for task, target in batch.targets.items():
                    if task in learners:
                        assert target is not None  # `Batch.tensors` leaves those out
                        weights = batch.weights.get(task)
                        weights = None if weights is None else weights.to(self._device)
                        learners[task].add(target.to(self._device), weights)
            if not steps:
                raise InputError("data: found a loader without batches; expected at least one")
            learned = {task: each.statistics() for task, each in learners.items()}
            self._first = FirstPass(steps, named, labelled, weighted, learned)
        return self._first


def as_data(data: Any, what: str) -> ArrayData | LoaderData | StreamData:
    """Accept what users give as data.

    Args:
        data: ``(inputs, {task: targets})``, perhaps with ``{task: weights}`` as a third, a
            DataLoader or list of batches, or what this returned.
        what: Its name, to begin messages with.

    Returns:
        The data, as `Data` describes.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(data, (ArrayData, LoaderData, StreamData)):
        return data
    by_task = isinstance(data, tuple) and all(isinstance(each, Mapping) for each in data[1:])
    if by_task and len(data) in (2, 3):
        return ArrayData(*data)
    if isinstance(data, Dataset) or type(data).__module__.startswith("datasets."):
        raise InputError(
            f"{what}: found a {type(data).__name__}, which yields rows one by one; expected "
            "batches: torch.utils.data.DataLoader(dataset, batch_size=..., shuffle=True), whose "
            f"rows are {FORM}"
        )
    if isinstance(data, Iterable) and not (
        isinstance(data, (str, bytes, Mapping, tuple)) or hasattr(data, "shape")
    ):
        return LoaderData(data)
    found = type(data).__name__
    if isinstance(data, tuple):
        found += f" ({', '.join(type(each).__name__ for each in data)})"
    raise InputError(
        f"{what}: found a {found}; expected (inputs, {{task: targets}}), or (inputs, "
        f"{{task: targets}}, {{task: weights}}), or a DataLoader whose batches are mappings: {FORM}"
    )


def _check_weighted(batch: Batch, weighted: dict[str, bool], what: str) -> None:
    """Check that all batches have weights for a task, or none has."""
    for task in batch.targets:
        has = task in batch.weights
        if weighted.setdefault(task, has) != has:
            raise InputError(
                f"{what}: found {'' if has else 'no '}weights for {task!r}, unlike in earlier "
                "batches; give them with all batches, ones where rows count alike, or with none"
            )


def _taken(given: Any, what: str) -> tuple[Batch, frozenset[str]]:
    """Return a loader's batch as tensors, and the tasks that it names."""
    if isinstance(given, Mapping):
        given = {"targets": {}, **given}
    batch = Batch.of(given, what)
    named = given.targets if isinstance(given, Batch) else given["targets"]
    return batch.tensors(what).single(), frozenset(named)
