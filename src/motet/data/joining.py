"""One batch of the batches of several sources, for one forward pass."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from motet.data.batches import Batch
from motet.states import join_rows

Rows = Mapping[str, slice | Tensor]
"""The rows of each task in a batch."""


def joined(batches: Sequence[Batch]) -> tuple[Batch, Rows]:
    """Put the inputs of batches one below the other; each task keeps the rows of its sources.

    Args:
        batches: Rows whose inputs have the same shapes, of different sources.

    Returns:
        One batch, and the rows of each task in it; targets and weights are of these rows alone.

    Example:
        >>> first = Batch(torch.zeros(2, 3), {"a": torch.tensor([1, 0])})
        >>> second = Batch(torch.ones(1, 3), {"b": torch.tensor([0.5])})
        >>> batch, rows = joined([first, second])
        >>> rows
        {'a': slice(0, 2, None), 'b': slice(2, 3, None)}
        >>> batch.targets
        {'a': tensor([1, 0]), 'b': tensor([0.5000])}
    """
    targets: dict[str, list[Tensor]] = {}
    weights: dict[str, list[Tensor]] = {}
    soft: dict[str, list[Tensor]] = {}
    places: dict[str, list[tuple[int, int]]] = {}
    start = 0
    for batch in batches:
        end = start + len(batch)
        for task, target in batch.targets.items():
            if target is not None:
                targets.setdefault(task, []).append(target)
                places.setdefault(task, []).append((start, end))
                if (own := batch.weights.get(task)) is not None:
                    weights.setdefault(task, []).append(own)
                if (taught := batch.soft.get(task)) is not None:
                    soft.setdefault(task, []).append(taught)
        start = end
    made = replace(
        batches[0],
        inputs=_inputs([batch.inputs for batch in batches]),
        targets={task: join_rows(each) for task, each in targets.items()},
        weights={task: torch.cat(each) for task, each in weights.items()},
        soft={task: join_rows(each) for task, each in soft.items()},
        rows=None,
        source=None,
    )
    return made, {task: _selection(each, targets[task][0]) for task, each in places.items()}


def _inputs(trees: Sequence[Any]) -> Any:
    if isinstance(trees[0], Mapping):
        return {name: _inputs([tree[name] for tree in trees]) for name in trees[0]}
    return None if trees[0] is None else torch.cat(list(trees))


def _selection(places: Sequence[tuple[int, int]], like: Tensor) -> slice | Tensor:
    """Return rows from a start up to an end, or of several such places."""
    (first, _), (_, last) = places[0], places[-1]
    if sum(end - start for start, end in places) == last - first:
        return slice(first, last)
    return torch.cat([torch.arange(*place, device=like.device) for place in places])
