"""Trees of tensors, and the arrays and lists that become tensors."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.data.images.stored import Images
from motet.data.inputs.shapes import SETS
from motet.data.ragged import Ragged
from motet.problems import InputError, shown

Tree = Tensor | Ragged | Images | dict[str, Any] | None
"""A tensor, rows of different length, images, or a mapping of names to trees; None where rows lack
it."""


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the leaves of a tree; None stays."""
    if isinstance(tree, Tensor):  # asked first, as it is quick, and each batch asks
        return function(tree)
    if isinstance(tree, Mapping):
        return {name: map_leaves(function, each) for name, each in tree.items()}
    return None if tree is None else function(tree)


def first_leaf(tree: Any) -> Any:
    """Return the first leaf of a tree that is not None; None without any."""
    if not isinstance(tree, Mapping):
        return tree
    found = map(first_leaf, tree.values())
    return next((each for each in found if each is not None), None)


def row_lengths(tree: Tree) -> Tensor | None:
    """Return the lengths (N,) of the first leaf whose rows have different lengths.

    Sets of values are not considered: their padding costs little, and rows with sets of one size
    would be alike in a batch.
    """
    if isinstance(tree, dict):
        sets = tree.get(SETS)
        flat = isinstance(sets, dict) and not any(isinstance(each, dict) for each in sets.values())
        found = (row_lengths(each) for name, each in tree.items() if name != SETS or not flat)
        return next((lengths for lengths in found if lengths is not None), None)
    return tree.lengths if isinstance(tree, Ragged) else None


def as_tree(values: Any, what: str, *, lacking: bool = False) -> Tree:
    """Turn arrays, or a mapping of them, perhaps nested, into tensors.

    Args:
        values: The arrays.
        what: Their name, to begin messages with.
        lacking: Whether None in a mapping stands for an input that the rows lack.

    Returns:
        The same tree of tensors.

    Raises:
        InputError: If something is not an array of numbers.
    """
    if isinstance(values, Mapping):
        return {
            str(name): as_tree(each, f"{what}[{name!r}]", lacking=lacking)
            for name, each in values.items()
        }
    if values is None and lacking:
        return None
    return values if isinstance(values, Ragged | Images) else as_tensor(values, what)


def as_tensor(values: Any, what: str) -> Tensor:
    """Turn an array or list into a tensor with one row per example; None in it is NaN.

    float64 arrays become float32; integers and tensors stay as they are.

    Args:
        values: N numbers or rows of numbers.
        what: Their name, to begin messages with.

    Returns:
        The tensor (N, ...), which shares memory with an array if possible.

    Raises:
        InputError: If they are not numbers, or are a single number.
    """
    tensor = values if isinstance(values, Tensor) else _from_array(values, what)
    if not tensor.ndim:
        raise InputError(f"{what} is the single number {tensor.item()}, expected one per row")
    return tensor


def tensors_of(given: Mapping[str, Any], what: str) -> dict[str, Tensor]:
    """Turn the arrays of tasks into tensors, without those that are None."""
    return {
        task: as_tensor(each, f"{what} of task {task!r}")
        for task, each in given.items()
        if each is not None
    }


def count_rows(
    inputs: Tree,
    targets: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
    soft: Mapping[str, Tensor] | None = None,
) -> int:
    """Return the number of rows that all leaves have.

    Raises:
        InputError: If they differ, or there is no leaf.
    """
    lengths = {**_lengths(inputs, "inputs"), **_lengths(dict(targets), "targets")}
    lengths |= _lengths(dict(weights or {}), "weights") | _lengths(dict(soft or {}), "soft")
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise InputError(
            f"the numbers of rows differ: {found}; expected one row per example in all"
            if lengths
            else "inputs is an empty mapping, expected at least one array"
        )
    return next(iter(lengths.values()))


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
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        return {what: len(tree)}
    found: dict[str, int] = {}
    for name, each in tree.items():
        found |= _lengths(each, f"{what}[{name!r}]")
    return found
