"""What training and evaluation read: batches, and the interface of data that offer them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from motet.data.tensors import (
    as_tensor,
    as_tree,
    count_rows,
    first_leaf,
    map_leaves,
    tensors_of,
)
from motet.problems import InputError, hint, with_article


@dataclass(frozen=True)
class Batch:
    """B rows for one forward pass; every field is cut and moved alike."""

    inputs: Any
    """What the model takes: a tensor (B, ...), or a mapping, perhaps nested, of tensors."""
    targets: Mapping[str, Tensor | None]
    """Labels of the rows by task; tasks without labels are None or absent."""
    rows: Tensor | None = None
    """Numbers of the rows in their data set (B,), where they are known."""
    source: str | None = None
    """Name of the source of the rows, where data have several."""
    weights: Mapping[str, Tensor | None] = field(default_factory=dict)
    """How much each row counts in the loss of a task (B,), 0 as if it had no label; 1 for tasks
    without."""
    soft: Mapping[str, Tensor | None] = field(default_factory=dict)
    """What teachers predict for the rows of a task: probabilities (B, C), of words (B, L, C), or
    numbers in the form of the targets."""
    share: tuple[int, int, int] | None = None
    """The first row, the end, and the number of all rows, where these are the share of one process
    in a batch; None if they are all rows, which each process then has."""

    @classmethod
    def of(
        cls, given: Any, what: str = "the batch", *, device: torch.device | str | None = None
    ) -> "Batch":
        """Take a batch, or a mapping with its fields, as users write it.

        Args:
            given: A batch or a mapping. If a target is an array or a list, inputs and targets
                become tensors; see `motet.data.tensors.as_tensor`.
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
        weights = given.get("weights")
        if weights is not None and not isinstance(weights, Mapping):
            raise InputError(
                f"{what}: weights is {_kind(weights)}; expected {{task: weights of the rows}}"
            )
        if "soft" in given:
            if not isinstance(given["soft"], Mapping):
                raise InputError(
                    f"{what}: soft is {_kind(given['soft'])}; expected {{task: predictions of a "
                    "teacher}"
                )
            if not all(isinstance(each, Tensor) for each in given["soft"].values()):
                return cls(**given).tensors(what).to(device)
        if given.get("share") is not None:
            _check_share(given["share"], first_leaf(given["inputs"]), what)
        for each in (*targets.values(), *(weights or {}).values()):
            if not (each is None or isinstance(each, Tensor)):
                return cls(**given).tensors(what).to(device)
        return cls(**given)

    def tensors(self, what: str = "the batch", *, lacking: bool = False) -> "Batch":
        """Return the same rows as tensors, made of arrays and lists.

        Args:
            what: Its name, to begin messages with.
            lacking: Whether None among the inputs stands for one that the rows lack.

        Returns:
            The rows.

        Raises:
            InputError: If something is not an array of numbers, or the numbers of rows differ.
        """
        try:
            inputs = as_tree(self.inputs, "inputs", lacking=lacking)
            targets = tensors_of(self.targets, "targets")
            weights = tensors_of(self.weights, "weights")
            soft = tensors_of(self.soft, "soft")
            count_rows(inputs, targets, weights, soft)
            rows = None if self.rows is None else as_tensor(self.rows, "rows")
        except InputError as error:
            raise InputError(f"{what}: {error}") from None
        return replace(self, inputs=inputs, targets=targets, rows=rows, weights=weights, soft=soft)

    def single(self) -> "Batch":
        """Return the same rows, float64 as float32."""
        return self._mapped(
            lambda values: values.float() if values.dtype == torch.float64 else values
        )

    def __len__(self) -> int:
        return len(first_leaf(self.inputs))

    @property
    def rows_of_all(self) -> int:
        """How many rows all processes have together."""
        return len(self) if self.share is None else self.share[2]

    def cut(self, start: int, end: int) -> "Batch":
        """Return the rows from ``start`` up to ``end``, as views; of a share those that it has."""
        if self.share is None:
            return self._mapped(lambda values: values[start:end])
        first, last, rows = self.share
        end = min(end, rows)
        there = [min(max(each, start), end) - start for each in (first, last)]
        here = slice(*(each + start - first for each in there)) if there[0] < there[1] else slice(0)
        return replace(
            self._mapped(lambda values: values[here]), share=(there[0], there[1], end - start)
        )

    def take(self, rows: Tensor) -> "Batch":
        """Return the rows at some places (b,), as a copy."""
        return self._mapped(lambda values: values.index_select(0, rows.to(values.device)))

    def to(self, device: torch.device | str | None) -> "Batch":
        """Return the same rows on a device; those already there are not copied."""
        return self if device is None else self._mapped(lambda values: values.to(device))

    def cloned(self) -> "Batch":
        """Return a copy of the rows."""
        return self._mapped(lambda values: values.clone())

    def _mapped(self, function: Callable[[Any], Any]) -> "Batch":
        made: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, each in made.items():
            if not isinstance(each, str | tuple):
                made[name] = map_leaves(function, each)
        return Batch(**made)


FORM = '{"inputs": ..., "targets": {task: ...}}'
"""How users write a batch, for messages."""


def _check_share(share: Any, leaf: Any, what: str) -> None:
    whole = isinstance(share, tuple) and len(share) == 3 and all(isinstance(n, int) for n in share)
    if not (whole and 0 <= share[0] <= share[1] <= share[2] and share[1] - share[0] == len(leaf)):
        raise InputError(
            f"{what}: found the share {share!r} of {len(leaf)} rows; expected (first, end, rows of "
            "all processes), where end - first is the number of rows"
        )


def _described(given: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name!r}: {_kind(each)}" for name, each in given.items()) or "{}"


def _kind(given: Any) -> str:
    return with_article(type(given).__name__)


class Mergeable(Protocol):
    """What is learned from rows, and can be merged with what is learned from others."""

    def merged(self, other: Any) -> Any:
        """Return what is learned from the rows of both, this one's first."""


Check = Callable[[Batch, str], None]
"""Called with rows and the name of their batch, "batch 3", empty for all rows; raises
`InputError`."""
Learn = Mapping[str, Callable[..., Mergeable]]
"""For each task, from labels (B, ...), and weights (B,) where rows have some, to their
statistics."""

S = TypeVar("S", bound=Mergeable)


def learn_from(learn: Callable[..., S], target: Tensor, weights: Tensor | None) -> S:
    """Learn from labels (B, ...), and the weights (B,) of their rows if they have some."""
    return learn(target) if weights is None else learn(target, weights)


class Draw(Protocol):
    """The rows of one step of data with several sources, drawn once its tasks are known."""

    def of(self, tasks: Collection[str], also: Collection[str] = ()) -> Sequence[Batch]:
        """Draw a batch of each source that has targets of some of the tasks, once per step.

        Args:
            tasks: The tasks that train at the step.
            also: Sources that have a batch in any case.

        Returns:
            The batches, in the order of the sources.
        """

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all sources."""

    def lacking(self, source: str) -> Mapping[str, Any]:
        """Return None under the name of each input that a source lacks."""

    @property
    def joinable(self) -> bool:
        """Whether batches of different sources have inputs of the same shapes."""


class RowsOnce(Protocol):
    """Rows to evaluate."""

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the tasks that have targets, in which labels may be missing."""

    def once(self, size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        """Yield every row once, for evaluation: the numbers of a batch's rows, and the batch.

        Numbers are None where batches come in the rows' own order.
        """


class Data(RowsOnce, Protocol):
    """Rows with inputs and targets.

    They are `ArrayData`, `LoaderData`, `StreamData`, or `Sources` of several.
    """

    def label_statistics(self, of: Mapping[str, Callable[..., S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks.

        Args:
            of: For each task, from labels (B, ...), and weights (B,) where rows have some, to their
                statistics; those of batches are merged in the order of the rows.

        Returns:
            Statistics of the tasks that have targets here.
        """

    def steps(self, size: int) -> int:
        """Return how many batches of ``size`` rows an epoch has."""

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch | Draw]:
        """Yield the batches of one epoch of training, without the first ``done``."""

    def to(self, device: torch.device | str) -> "Data":
        """Return the same rows, whose batches are on a device."""
