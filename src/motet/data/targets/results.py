"""What targets return, checked before it is used: a target of a user's own may return anything."""

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.problems import InputError


def checked_labels(task: str, found: object, rows: int) -> NDArray[Any]:
    """Return what ``encode`` of a target returned.

    Args:
        task: Name of the task.
        found: What was returned.
        rows: Number of rows N.

    Returns:
        Labels (N, ...).

    Raises:
        InputError: If it is no array of numbers with one row per row.
    """
    if isinstance(found, np.ndarray) and found.dtype.kind in "fiub" and found.shape[:1] == (rows,):
        return found
    kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
    raise InputError(
        f"task {task!r}: encode(table) returned {kind} for {rows:,} rows; expected an array of "
        f"numbers ({rows:,}, ...), with -100 or NaN where a label is missing"
    )


def checked_columns(task: str, found: object, rows: int) -> dict[str, pa.Array]:
    """Return what ``predictions`` of a target returned.

    Args:
        task: Name of the task.
        found: What was returned.
        rows: Number of rows N.

    Returns:
        Columns of N rows by name.

    Raises:
        InputError: If it is something else, or a name does not begin with the task's.
    """
    if not isinstance(found, Mapping):
        raise InputError(
            f"task {task!r}: predictions(value) returned {type(found).__name__}; expected columns "
            f"by name, for example {{{task!r}: pyarrow.array(value)}}"
        )
    for name, column in found.items():
        if not isinstance(column, pa.Array | pa.ChunkedArray) or len(column) != rows:
            kind = type(column).__name__ + (
                f" ({len(column):,})" if isinstance(column, Sized) else ""
            )
            raise InputError(
                f"task {task!r}: predictions(value) returned {kind} as column {name!r}; expected a "
                f"pyarrow.Array of {rows:,} values"
            )
        if not str(name).startswith(task):
            raise InputError(
                f"task {task!r}: predictions(value) returned a column {name!r}; expected names "
                f"that begin with {task!r}, so that tasks do not share columns"
            )
    return dict(found)
