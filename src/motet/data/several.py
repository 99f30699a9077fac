"""Several data sets in one training, each with labels of its own tasks: `Sources`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from motet.data.arrays import ArrayData
from motet.data.batches import Batch, S
from motet.data.cycling import Cycle
from motet.data.lacking import lacking as found_lacking
from motet.data.lacking import same_shapes, with_none
from motet.data.loaders import LoaderData, as_data
from motet.data.stream import StreamData
from motet.problems import InputError, owned, shown
from motet.seeds import derive

Source = ArrayData | LoaderData | StreamData


class Sources:
    """Several data sets, each with labels of its own tasks, for one model.

    A step takes a batch of every source (or of those whose tasks are scheduled), and balances the
    losses of all tasks together. An epoch has as many steps as the largest source has batches. The
    others cycle: each pass through a source has every row once, in a new order drawn from (seed,
    source, pass), and continues in the next epoch.

    Inputs may differ. Where they are mappings and a source lacks a name that others have, the model
    gets None in its place; an encoder that joins several inputs then uses zeros for their features.
    Evaluation computes every row of every source once.

    Args:
        sources: For each source, by its name, whatever `motet.Trainer.fit` takes: ``(inputs, {task:
            targets})``, or a DataLoader. A task may have labels in several sources, and labels may
            be missing anywhere. A batch ``{"inputs": ..., "targets": ...}`` is all rows of a
            source, as for `motet.Trainer.train_step`.
            For `motet.train`, whatever its ``data`` takes: a frame, a path, ...
        batch_sizes: Rows per batch of some sources; training's ``batch_size`` if left out.
        lacking: For each source, what it lacks of a model's inputs, as `motet.data.lacking` finds
            it among the sources if left out.

    Raises:
        InputError: If there is no source, or a name is none. A source that is empty or is not data
            is an error where it is used; the message has its name.

    Example:
        >>> orders = torch.eye(3), {"amount": [1.0, 2.0, 3.0]}
        >>> visits = torch.eye(5, 3), {"returns": [0, 1, 0, 1, 1]}
        >>> data = Sources({"orders": orders, "visits": visits})
        >>> data.steps(2)
        3
        >>> for draw in data.epoch(2, seed=0, number=0):
        ...     print({batch.source: len(batch) for batch in draw.of(["amount", "returns"])})
        {'orders': 2, 'visits': 2}
        {'orders': 1, 'visits': 2}
        {'orders': 2, 'visits': 1}
    """

    def __init__(
        self,
        sources: Mapping[str, Any],
        *,
        batch_sizes: Mapping[str, int] | None = None,
        lacking: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if not isinstance(sources, Mapping) or not sources:
            raise InputError(f"sources: found {_kind(sources)}; expected {{name: data, ...}}")
        for name in sources:
            if not isinstance(name, str) or not name:
                raise InputError(f"sources: found the name {shown(name)}; expected a text")
        self.given = dict(sources)
        """The sources as they were given."""
        self.batch_sizes = dict(batch_sizes or {})
        for name, size in self.batch_sizes.items():
            if name not in self.given or size < 1:
                raise InputError(
                    f"found {size} for {name!r}; expected a number > 0 for one of "
                    f"{', '.join(self.given)}",
                    option="batch_sizes",
                )
        self._given_lacking = lacking
        self._cycles: dict[str, Cycle] = {}
        self._drawn_with: tuple[int, int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(self.given)

    @cached_property
    def parts(self) -> dict[str, Source]:
        """The data of each source; what is no data raises `InputError`."""
        return {name: _taken(name, given) for name, given in self.given.items()}

    @cached_property
    def joinable(self) -> bool:
        """Whether a batch of each source can be one batch: all have inputs of the same shapes."""
        trees = self._trees
        return len(trees) == len(self.parts) and same_shapes(list(trees.values()))

    @cached_property
    def _lacking(self) -> dict[str, dict[str, Any]]:
        if self._given_lacking is not None:
            return {name: dict(each) for name, each in self._given_lacking.items()}
        return found_lacking(self._trees)

    def lacking(self, source: str) -> Mapping[str, Any]:
        """Return None under the name of each input that a source lacks, as far as that is known."""
        return self._lacking.get(source, {})

    @property
    def _trees(self) -> dict[str, Any]:
        """The inputs of each source that is in memory."""
        return {n: each.inputs for n, each in self.parts.items() if isinstance(each, ArrayData)}

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the tasks that have targets in some source."""
        return frozenset().union(*(each.labelled for each in self.parts.values()))

    @property
    def named(self) -> frozenset[str]:
        """The tasks that were given, also those without labels."""
        return frozenset().union(*(each.named for each in self.parts.values()))

    @cached_property
    def weighted(self) -> frozenset[str]:
        """Names of the tasks that have weights in some source."""
        return frozenset().union(*(each.weighted for each in self.parts.values()))

    def label_statistics(self, of: Mapping[str, Callable[..., S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks, merged in the order of the sources."""
        found: dict[str, S] = {}
        for each in self.parts.values():
            for task, learned in each.label_statistics(of).items():
                found[task] = found[task].merged(learned) if task in found else learned
        return found

    def size_of(self, source: str, size: int) -> int:
        """Return the rows per batch of a source, where ``size`` is that of training."""
        return self.batch_sizes.get(source, size)

    def steps(self, size: int) -> int:
        """Return how many steps an epoch has: the batches of the largest source."""
        return max(each.steps(self.size_of(name, size)) for name, each in self.parts.items())

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator["SourceDraw"]:
        """Yield the steps of an epoch in which every step draws from every source; see `draws`."""
        steps = self.steps(size)
        for step in range(done, steps):
            drawn = dict.fromkeys(self.parts, number * steps + step)
            yield from self.draws(size, seed=seed, drawn=drawn, done=steps - 1)

    def draws(
        self, size: int, *, seed: int, drawn: dict[str, int], done: int = 0
    ) -> Iterator["SourceDraw"]:
        """Yield the steps of an epoch.

        Args:
            size: Rows per batch, where `batch_sizes` has no other number.
            seed: With the name of a source and the number of the pass decides the order.
            drawn: Batches drawn from each source so far, in all epochs; steps count theirs here.
            done: Number of steps of the epoch that are done.
        """

        def next_of(name: str) -> Batch:
            number = drawn.get(name, 0)
            drawn[name] = number + 1
            batch: Batch = self._cycled(size, seed)[name].at(number)
            return self.completed(name, batch)

        for _ in range(done, self.steps(size)):
            yield SourceDraw(self, next_of)

    def whole(self) -> "SourceDraw":
        """Return a step with all rows of every source.

        Raises:
            InputError: If a source is a loader of batches, or a stream.
        """

        def all_of(name: str) -> Batch:
            data = self.parts[name]
            if not isinstance(data, ArrayData):
                kind = "DataLoader" if isinstance(data, LoaderData) else "stream"
                raise InputError(
                    f"found a {kind}; expected the rows of one step: "
                    '{"inputs": ..., "targets": {task: ...}}',
                    owner=f"source {name!r}",
                )
            (batch,) = data.batches(len(data))
            return self.completed(name, batch)

        return SourceDraw(self, all_of)

    def once(self, size: int) -> Iterator[tuple[Tensor, Batch]]:
        """Yield every row of every source once, for evaluation; numbers count through all."""
        first = 0
        for name, data in self.parts.items():
            rows = 0
            for numbers, batch in data.once(self.size_of(name, size)):
                if numbers is None:
                    numbers = torch.arange(rows, rows + len(batch))
                rows += len(batch)
                yield first + numbers, self.completed(name, batch)
            first += rows

    def to(self, device: torch.device | str) -> "Sources":
        """Return the same rows, whose batches are on a device."""
        return self.with_parts({name: each.to(device) for name, each in self.parts.items()})

    def with_parts(
        self, parts: Mapping[str, Any], batch_sizes: Mapping[str, int] | None = None
    ) -> "Sources":
        """Return the same sources with other data, such as on another device."""
        sizes = self.batch_sizes if batch_sizes is None else batch_sizes
        return Sources(parts, batch_sizes=sizes, lacking=self._given_lacking)

    def _cycled(self, size: int, seed: int) -> Mapping[str, Cycle]:
        """Return the cycles, which continue from one epoch to the next."""
        if self._drawn_with != (size, seed):
            self._drawn_with = size, seed
            self._cycles = {
                name: Cycle(each, self.size_of(name, size), derive(seed, f"source/{name}"))
                for name, each in self.parts.items()
            }
        return self._cycles

    def completed(self, name: str, batch: Batch) -> Batch:
        """Name the source of a batch, and set None in place of inputs that it lacks.

        Args:
            name: Name of the source.
            batch: Its rows.

        Returns:
            The same rows, which weigh 1 where only other sources of a task have weights.
        """
        weights = dict(batch.weights)
        for task in self.weighted:
            target = batch.targets.get(task)
            if target is not None and task not in weights:
                weights[task] = target.new_ones(len(target), dtype=torch.float32)
        batch = replace(batch, weights=weights)
        inputs = with_none(batch.inputs, self.lacking(name))  # those of loaders stay as they are
        return replace(batch, inputs=inputs, source=name)


@dataclass(frozen=True)
class SourceDraw:
    """The batches of one step; see `motet.data.batches.Draw`."""

    data: Sources
    next_of: Callable[[str], Batch]
    """Draws the batch of a source."""
    found: dict[str, Batch] = field(default_factory=dict)
    """The batches that were drawn, as a step has at most one of a source."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all sources."""
        return self.data.names

    @property
    def joinable(self) -> bool:
        """Whether batches of different sources have inputs of the same shapes."""
        return self.data.joinable

    def lacking(self, source: str) -> Mapping[str, Any]:
        """Return None under the name of each input that a source lacks."""
        return self.data.lacking(source)

    def of(self, tasks: Collection[str], also: Collection[str] = ()) -> Sequence[Batch]:
        """Draw a batch of each source that has targets of some tasks, or is among ``also``."""
        asked = [
            name
            for name, each in self.data.parts.items()
            if name in also or not each.labelled.isdisjoint(tasks)
        ]
        for name in asked:
            if name not in self.found:
                self.found[name] = self.next_of(name)
        return [self.found[name] for name in asked]


def _taken(name: str, given: Any) -> Source:
    with owned(f"source {name!r}"):
        data = as_data(_rows_of(given), "data")
        if isinstance(data, ArrayData) and not len(data):
            raise InputError("found no rows; expected at least one")
    return data


def _kind(given: Any) -> str:
    return shown(given) if given or not isinstance(given, Mapping) else "no source"


def _rows_of(given: Any) -> Any:
    """Return a batch as data."""
    if isinstance(given, (Mapping, Batch)):
        batch = Batch.of(given)
        return ArrayData(batch.inputs, batch.targets, batch.weights, batch.soft)
    return given
