"""What training and evaluation read: batches, and rows in memory split into them by indexing.

A batch costs one ``index_select`` per tensor, and nothing per row; batches in the rows' own order
are views and cost nothing. float32 arrays and tensors are used as they are, without a copy.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from motet.data.ragged import Ragged, bucketed
from motet.problems import InputError, hint, shown, with_article
from motet.seeds import derive

Tree = Tensor | Ragged | dict[str, Any]
"""A tensor, rows of different length, or a mapping of names to trees."""


@dataclass(frozen=True)
class Batch:
    """B rows for one forward pass; every field is cut and moved alike."""

    inputs: Any
    """What the model takes: a tensor (B, ...), or a mapping, perhaps nested, of tensors."""
    targets: Mapping[str, Tensor | None]
    """Labels of the rows by task; tasks without labels are None or absent."""
    rows: Tensor | None = None
    """Numbers of the rows in their data set (B,), where they are known."""

    @classmethod
    def of(
        cls, given: Any, what: str = "the batch", *, device: torch.device | str | None = None
    ) -> "Batch":
        """Take a batch, or a mapping with its fields, as users write it.

        Args:
            given: A batch or a mapping. If a target is an array or a list, inputs and targets
                become tensors as in `ArrayData`.
            what: Its name, to begin messages with.
            device: Where to put what becomes a tensor.

        Returns:
            The batch.

        Raises:
            InputError: If it is neither, or has an unknown key.

        Example:
            >>> Batch.of({"inputs": [[1.0], [2.0]], "targets": {"a": [0, 1]}}).targets
            {'a': tensor([0, 1])}
        """
        if isinstance(given, Batch):
            return given
        if not isinstance(given, Mapping):
            raise InputError(f"{what}: found {_kind(given)}; expected {FORM}")
        for key in given:
            if key not in cls.__dataclass_fields__:
                names = hint(str(key), cls.__dataclass_fields__)
                raise InputError(f"{what}: found the key {key!r}; {names}; expected {FORM}")
        targets = given.get("targets")
        if "inputs" not in given or not isinstance(targets, Mapping):
            raise InputError(f"{what}: found {_described(given)}; expected {FORM}")
        for target in targets.values():
            if not (target is None or isinstance(target, Tensor)):
                return cls(**given).tensors(what).to(device)
        return cls(**given)

    def tensors(self, what: str = "the batch") -> "Batch":
        """Return the same rows as tensors, which `ArrayData` makes of arrays and lists.

        Raises:
            InputError: If something is not an array of numbers, or the numbers of rows differ.
        """
        try:
            data = ArrayData(self.inputs, self.targets)
            rows = None if self.rows is None else _tensor(self.rows, "rows")
        except InputError as error:
            raise InputError(f"{what}: {error}") from None
        return Batch(data.inputs, data.targets, rows)

    def single(self) -> "Batch":
        """Return the same rows, float64 as float32."""
        return self._mapped(
            lambda values: values.float() if values.dtype == torch.float64 else values
        )

    def __len__(self) -> int:
        tree = self.inputs
        while isinstance(tree, Mapping):
            tree = next(iter(tree.values()))
        return len(tree)

    def cut(self, start: int, end: int) -> "Batch":
        """Return the rows from ``start`` up to ``end``, as views."""
        return self._mapped(lambda values: values[start:end])

    def to(self, device: torch.device | str | None) -> "Batch":
        """Return the same rows on a device; those already there are not copied."""
        return self if device is None else self._mapped(lambda values: values.to(device))

    def _mapped(self, function: Callable[[Any], Any]) -> "Batch":
        return Batch(
            **{each.name: _map(function, getattr(self, each.name)) for each in fields(self)}
        )


FORM = '{"inputs": ..., "targets": {task: ...}}'
"""How users write a batch, for messages."""


def _described(given: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name!r}: {_kind(each)}" for name, each in given.items()) or "{}"


def _kind(given: Any) -> str:
    return with_article(type(given).__name__)


class Mergeable(Protocol):
    """What is learned from rows, and can be merged with what is learned from others."""

    def merged(self, other: Any) -> Any:
        """Return what is learned from the rows of both, this one's first."""


S = TypeVar("S", bound=Mergeable)


class Data(Protocol):
    """Rows with inputs and targets: `ArrayData`, or `motet.data.loaders.LoaderData`."""

    @property
    def targets(self) -> Mapping[str, Tensor]:
        """All targets by task, for what is learned from them at once, such as class weights."""

    def label_statistics(self, of: Mapping[str, Callable[[Tensor], S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks.

        Args:
            of: For each task, from labels (B, ...) to their statistics; those of batches are
                merged in the order of the rows.

        Returns:
            Statistics of the tasks that have targets here.
        """

    def steps(self, size: int) -> int:
        """Return how many batches of ``size`` rows an epoch has."""

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch of training, without the first ``done``."""

    def once(self, size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        """Yield every row once, for evaluation: the numbers of a batch's rows, and the batch.

        Numbers are None where batches come in the rows' own order.
        """

    def to(self, device: torch.device | str) -> "Data":
        """Return the same rows, whose batches are on a device."""


class ArrayData:
    """Inputs and targets of N rows.

    Args:
        inputs: An array or tensor (N, ...) or a `motet.data.ragged.Ragged`, whose batches are
            padded, or a mapping, perhaps nested, of those. float64 arrays become float32, as models
            are; integers and tensors stay as they are.
        targets: For each task an array, list or tensor (N, ...), None in it meaning missing; a task
            that is None has no labels here.

    Raises:
        InputError: If something is not an array of numbers, or the numbers of rows differ.

    Example:
        >>> data = ArrayData(np.eye(5), {"a": [0, 1, 2, 3, 4], "b": None})
        >>> for batch in data.batches(2, order=torch.tensor([4, 3, 2, 1, 0])):
        ...     print(batch.targets)
        {'a': tensor([4, 3])}
        {'a': tensor([2, 1])}
        {'a': tensor([0])}
    """

    def __init__(self, inputs: Any, targets: Mapping[str, Any]) -> None:
        self.checked = False
        """Whether training has checked the rows."""
        self.named = frozenset(targets)
        """The tasks that were given, also those without labels."""
        self.inputs = _tree(inputs, "inputs")
        self.targets: dict[str, Tensor] = {
            task: _tensor(values, f"targets of task {task!r}")
            for task, values in targets.items()
            if values is not None
        }
        lengths = {**_lengths(self.inputs, "inputs"), **_lengths(self.targets, "targets")}
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise InputError(
                f"the numbers of rows differ: {found}; expected one row per example in all"
                if lengths
                else "inputs is an empty mapping, expected at least one array"
            )
        self._length = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self._length

    def label_statistics(self, of: Mapping[str, Callable[[Tensor], S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks; see `Data`."""
        known = self.targets
        return {task: learn(known[task]) for task, learn in of.items() if task in known}

    def steps(self, size: int) -> int:
        """Return how many batches of ``size`` rows there are, the last one perhaps smaller."""
        return -(-len(self) // size)

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Split the rows into the batches of an epoch of training.

        If rows have different lengths, those of a batch have like lengths; see `bucketed`.

        Args:
            size: Rows per batch; the last may have fewer.
            seed: With ``number`` decides the order; see `order`.
            number: Number of the epoch.
            done: Number of batches to skip, as they were trained on before.

        Returns:
            The remaining batches.
        """
        order = self.order(seed, number)
        lengths = _row_lengths(self.inputs)
        if lengths is not None:
            order = bucketed(order, lengths.cpu(), size, seed, number)
        return self.batches(size, order[done * size :])

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """Split the rows into batches.

        Args:
            size: Rows per batch; the last may have fewer.
            order: Row numbers (n,), each batch takes the next of them; the rows' own order if left
                out, in which case batches are views.

        Yields:
            One batch after the other, on the device of the data.
        """
        if order is None:
            for start in range(0, len(self), size):
                end = min(start + size, len(self))
                yield self._batch(lambda values: values[start:end])  # noqa: B023  # used at once
            return
        order = order.to(self.device)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield self._batch(lambda values: values.index_select(0, rows), rows)  # noqa: B023  # as above

    def once(self, size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        """Split all rows into the batches that cost least to compute.

        Rows of different length come longest first: a batch has rows of like length, so little of
        it is padding, and a lack of memory shows at once. Others keep their order.

        Args:
            size: Rows per batch; the last may have fewer.

        Yields:
            The numbers of a batch's rows, int64 on the CPU, or None if they follow the last ones;
            and the batch.
        """
        lengths = _row_lengths(self.inputs)
        if lengths is None:
            for batch in self.batches(size):
                yield None, batch
            return
        order = lengths.cpu().argsort(descending=True, stable=True)
        for number, batch in enumerate(self.batches(size, order)):
            yield order[number * size : (number + 1) * size], batch

    def order(self, seed: int, epoch: int) -> Tensor:
        """Return the order of an epoch, drawn from (seed, epoch) alone: int64 (N,), on the CPU."""
        generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
        return torch.randperm(len(self), generator=generator)

    def rows(self, indices: Any) -> "ArrayData":
        """Return the rows with these numbers, as a copy."""
        chosen = torch.as_tensor(indices, device=self.device)
        return self._mapped(lambda values: values.index_select(0, chosen))

    def to(self, device: torch.device | str) -> "ArrayData":
        """Return the same rows on a device; those already there are not copied."""
        return self._mapped(lambda values: values.to(device))

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        tree: Any = self.inputs
        while isinstance(tree, dict):
            tree = next(iter(tree.values()))
        device: torch.device = tree.device
        return device

    def _batch(self, function: Callable[[Any], Any], rows: Tensor | None = None) -> Batch:
        return Batch(_map(function, self.inputs), _map(function, self.targets), rows)

    def _mapped(self, function: Callable[[Any], Any]) -> "ArrayData":
        return ArrayData(_map(function, self.inputs), _map(function, self.targets))


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the leaves of a tree; None stays."""
    if isinstance(tree, Mapping):
        return {name: _map(function, each) for name, each in tree.items()}
    return None if tree is None else function(tree)


def _row_lengths(tree: Tree) -> Tensor | None:
    """Return the lengths (N,) of the first rows that have different ones."""
    if isinstance(tree, dict):
        found = (_row_lengths(each) for each in tree.values())
        return next((lengths for lengths in found if lengths is not None), None)
    return tree.lengths if isinstance(tree, Ragged) else None


def _tree(values: Any, what: str) -> Tree:
    if isinstance(values, Mapping):
        return {str(name): _tree(each, f"{what}[{name!r}]") for name, each in values.items()}
    return values if isinstance(values, Ragged) else _tensor(values, what)


def _tensor(values: Any, what: str) -> Tensor:
    tensor = values if isinstance(values, Tensor) else _from_array(values, what)
    if not tensor.ndim:
        raise InputError(f"{what} is the single number {tensor.item()}, expected one per row")
    return tensor


def _from_array(values: Any, what: str) -> Tensor:
    try:
        array = np.asarray(values)
        if array.dtype == object:  # None among numbers
            array = array.astype(np.float32)
    except (TypeError, ValueError):
        raise InputError(_not_numbers(values, what)) from None
    if array.dtype.kind not in "fiub":
        raise InputError(_not_numbers(values, what))
    if array.dtype.kind == "f" and array.dtype != np.float16:
        array = array.astype(np.float32, copy=False)
    elif array.dtype.kind == "u" and array.dtype != np.uint8:  # torch indexes no others
        array = array.astype(np.int64)
    array = np.require(array, requirements=["C", "W"])  # copies what torch cannot share
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _not_numbers(values: Any, what: str) -> str:
    return (
        f"{what} is {shown(values)}, expected an array of numbers with rows along the first axis; "
        "turn texts into numbers first, e.g. classes into 0, 1, 2"
    )


def _lengths(tree: Tree, what: str) -> dict[str, int]:
    if not isinstance(tree, dict):
        return {what: len(tree)}
    found: dict[str, int] = {}
    for name, each in tree.items():
        found |= _lengths(each, f"{what}[{name!r}]")
    return found
