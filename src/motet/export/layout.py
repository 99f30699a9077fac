"""The inputs of an exported model: each leaf of a batch's tree is a tensor with a name of its own.

The name is the path in the tree that `motet.Run.preprocess` returns, joined by dots:
``numbers``, ``texts.review.ids``. The first axis is the rows; where rows have different lengths,
the second one is theirs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from motet.data.inputs.shapes import SETS, TEXTS
from motet.data.ragged import Ragged
from motet.problems import InputError

BATCH = "batch"
_SHARED = {
    "ids": "tokens",
    "segments": "tokens",
    "characters": "tokens",
    "frames": "frames",
    "real": "frames",
}
"""Leaves of an input whose rows have the same lengths, with the name of that axis."""


@dataclass(frozen=True)
class Leaf:
    """One tensor that a model takes."""

    name: str
    dtype: torch.dtype
    axes: tuple[str | int, ...]
    """The name of an axis of any size, or the size of one that is fixed."""
    fill: int | None = None
    """Value of padding, where rows have different lengths."""

    @property
    def lengths(self) -> str | None:
        """Name of the axis of the lengths of rows, if they differ."""
        return str(self.axes[1]) if self.fill is not None else None


Template = Leaf | dict[str, Any] | None
"""The tree of a batch with leaves in place of tensors; None for an input that rows lack."""


def template_of(given: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the tree of a batch.

    Args:
        given: All rows, of which `Ragged` leaves have different lengths.
        batch: Some of them, as tensors.

    Returns:
        The tree of leaves.

    Raises:
        InputError: If two leaves would have one name.
    """
    found: dict[str, Any] = _tree(given, batch, ())
    names = [each.name for each in leaves(found)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two inputs of the exported model would have the name {name!r}; rename an input "
                "that has a dot in its name, and train again"
            )
    return found


def _tree(given: Any, batch: Any, path: tuple[str, ...]) -> Any:
    if batch is None:
        return None
    if isinstance(batch, Mapping):
        inner = given if isinstance(given, Mapping) else {}
        return {name: _tree(inner.get(name), each, (*path, name)) for name, each in batch.items()}
    if not isinstance(given, Ragged):
        return Leaf(".".join(path), batch.dtype, (BATCH, *batch.shape[1:]))
    axes = (BATCH, _length_name(path), *batch.shape[2:])
    return Leaf(".".join(path), batch.dtype, axes, given.fill)


def _length_name(path: tuple[str, ...]) -> str:
    *inputs, last = path[1:] if path[0] in (TEXTS, SETS) else path
    return re.sub(r"\W", "_", "_".join([*inputs, _SHARED.get(last, last)]))


def leaves(template: Any) -> list[Leaf]:
    """Return the leaves of a tree, in its order."""
    if isinstance(template, dict):
        return [leaf for each in template.values() for leaf in leaves(each)]
    return [] if template is None else [template]


def flat(template: Any, tree: Any) -> dict[str, Tensor]:
    """Return the tensors of a batch by name."""
    if isinstance(template, dict):
        found: dict[str, Tensor] = {}
        for name, each in template.items():
            found |= flat(each, tree[name])
        return found
    return {} if template is None else {template.name: tree}


def nested(template: Any, given: Mapping[str, Tensor]) -> Any:
    """Return the tree of a batch, from its tensors by name."""
    if isinstance(template, dict):
        return {name: nested(each, given) for name, each in template.items()}
    return None if template is None else given[template.name]


def traceable(given: Mapping[str, Tensor], each: Iterable[Leaf]) -> dict[str, Tensor]:
    """Return rows to trace a graph with: sizes that are not fixed are all different, and above 1.

    Tracing takes a size of 1 for fixed, and equal sizes for the same.
    """
    sizes: dict[str, int] = {}
    found = {}
    for leaf in each:
        tensor = given[leaf.name]
        rows = _size(sizes, BATCH, min(len(tensor), 3))
        tensor = tensor[torch.arange(rows) % len(tensor)]
        if leaf.lengths is not None and leaf.fill is not None:
            longer = _size(sizes, leaf.lengths, tensor.shape[1])
            filled = tensor.new_full((rows, longer, *tensor.shape[2:]), leaf.fill)
            filled[:, : tensor.shape[1]] = tensor
            tensor = filled
        found[leaf.name] = tensor.contiguous()
    return found


def _size(sizes: dict[str, int], axis: str, size: int) -> int:
    if axis not in sizes:
        size = max(size, 2)
        while size in sizes.values():
            size += 1
        sizes[axis] = size
    return sizes[axis]
