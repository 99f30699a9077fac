"""What inputs return, checked before it is joined: an input of a user's own may return anything."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from motet.data.inputs.shapes import (
    CATEGORIES,
    NUMBERS,
    BranchShape,
    SetShape,
    Shape,
    TableShape,
    TextSizes,
)
from motet.data.notes import Notes
from motet.data.trees import leaves
from motet.problems import InputError, shown


def checked_shape(where: str, found: object) -> Shape:
    """Return what ``shape()`` of an input returned.

    Args:
        where: The input, to begin messages with.
        found: What was returned.

    Returns:
        The shape.

    Raises:
        InputError: If it is none.
    """
    if isinstance(found, TableShape | SetShape | TextSizes | BranchShape):
        return found
    raise InputError(
        f"{where}: shape() returned {shown(found)}; expected a TableShape, SetShape, TextSizes "
        "or BranchShape of motet.data.inputs.shapes"
    )


def checked_result(where: str, found: object, shape: Shape, rows: int) -> tuple[Any, Notes]:
    """Return what ``apply(rows)`` of an input returned.

    Args:
        where: The input, to begin messages with.
        found: What was returned.
        shape: The shape of the input.
        rows: Number of rows N.

    Returns:
        The tree and the notes.

    Raises:
        InputError: If it is something else, or columns do not fit the shape.
    """
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Notes)):
        parts = found if isinstance(found, tuple) else (found,)
        kinds = ", ".join(type(each).__name__ for each in parts)
        raise InputError(
            f"{where}: apply(rows) returned {kinds}; expected arrays and notes, such as "
            "motet.data.notes.Notes(len(rows))"
        )
    if isinstance(shape, TableShape):
        _check_columns(where, found[0], shape, rows)
    else:
        _check_leaves(where, found[0], rows)
    return found


def _check_columns(where: str, tree: object, shape: TableShape, rows: int) -> None:
    widths = {NUMBERS: len(shape.numbers), CATEGORIES: len(shape.categories)}
    expected = {name: (rows, width) for name, width in widths.items() if width}
    found = (
        {name: np.shape(columns) for name, columns in tree.items()}
        if isinstance(tree, Mapping)
        else type(tree).__name__
    )
    if found != expected:
        raise InputError(
            f"{where}: apply(rows) returned {found} for {rows:,} rows; expected arrays of the "
            f"shapes {expected}, as its shape() declares"
        )


def _check_leaves(where: str, tree: object, rows: int) -> None:
    for leaf in leaves(tree):
        own = hasattr(leaf, "index_select")  # `Ragged` and `Images`, which need torch
        if not (own or isinstance(leaf, np.ndarray)) or len(leaf) != rows:
            found = len(leaf) if own else np.shape(leaf)
            raise InputError(
                f"{where}: apply(rows) returned {type(leaf).__name__} {found} for {rows:,} rows; "
                f"expected arrays ({rows:,}, ...), motet.data.ragged.Ragged, or a dict of those"
            )
