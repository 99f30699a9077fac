"""One batch of the batches of several sources, for one forward pass."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from motet.data.batches import Batch
from motet.states import MISSING, join_rows


def joined(batches: Sequence[Batch], numbers: Collection[str] = ()) -> Batch:
    """Put batches one below the other; where one has no target of a task, labels are missing.

    Args:
        batches: Rows whose inputs have the same shapes, of different sources.
        numbers: Tasks of whose labels -100 may be one, so that only NaN is missing.

    Returns:
        One batch, whose rows have no numbers, as those of sources would be mixed.

    Example:
        >>> first = Batch(torch.zeros(2, 3), {"a": torch.tensor([1, 0])})
        >>> second = Batch(torch.ones(1, 3), {"b": torch.tensor([0.5])})
        >>> joined([first, second]).targets
        {'a': tensor([   1,    0, -100]), 'b': tensor([   nan,    nan, 0.5000])}
    """
    if len(batches) == 1:
        return batches[0]
    tasks = dict.fromkeys(task for batch in batches for task in batch.targets)
    targets = {task: _target(task, batches, task in numbers) for task in tasks}
    inputs = _inputs([batch.inputs for batch in batches])
    weighted = dict.fromkeys(task for batch in batches for task in batch.weights)
    weights = {task: _weights(task, batches) for task in weighted}
    return replace(
        batches[0], inputs=inputs, targets=targets, rows=None, source=None, weights=weights
    )


def _inputs(trees: Sequence[Any]) -> Any:
    if isinstance(trees[0], Mapping):
        return {name: _inputs([tree[name] for tree in trees]) for name in trees[0]}
    return None if trees[0] is None else torch.cat(list(trees))


def _weights(task: str, batches: Sequence[Batch]) -> Tensor:
    like = next(batch.weights[task] for batch in batches if task in batch.weights)
    assert like is not None
    given = [(batch.weights.get(task), len(batch)) for batch in batches]
    return torch.cat([like.new_ones(rows) if each is None else each for each, rows in given])


def _target(task: str, batches: Sequence[Batch], number: bool) -> Tensor | None:
    found = [batch.targets.get(task) for batch in batches]
    known = [each for each in found if each is not None]
    if not known:
        return None
    like = known[0]
    parts = [
        _missing(len(batch), like, number) if each is None else each
        for batch, each in zip(batches, found, strict=True)
    ]
    return join_rows(parts)


def _missing(rows: int, like: Tensor, number: bool) -> Tensor:
    """Return missing labels of so many rows, in the form of others."""
    shape = (rows, *like.shape[1:])
    if number or like.is_floating_point():
        kind = like.dtype if like.is_floating_point() else torch.float32
        return torch.full(shape, torch.nan, dtype=kind, device=like.device)
    return torch.full(shape, MISSING, device=like.device)  # int64, as small types have no -100
