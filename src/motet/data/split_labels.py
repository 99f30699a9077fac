"""What the splits lack of a task: every label, or all classes but one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.row_names import RowName
from motet.data.splits import Splits
from motet.data.targets.base import Target
from motet.data.targets.classes import MISSING
from motet.problems import InputError

SPLITS = ("train", "validation", "test")


def lacking_labels(target: Target, encoded: NDArray[Any], split: Splits) -> Iterator[str]:
    """Report which of validation and test cannot score a task, as far as its labels show.

    Args:
        target: Its target.
        encoded: Its labels, encoded, of all rows.
        split: The rows of each split.

    Yields:
        A sentence for each such split.

    Example:
        >>> import pyarrow as pa
        >>> from motet.data.targets.classes import ClassTarget
        >>> table = pa.table({"churn": ["no", "yes", "yes", "yes", None]})
        >>> churn, split = ClassTarget("churn"), Splits(*map(np.array, ([0, 1], [2, 3], [4])))
        >>> churn.fit(table)
        >>> for note in lacking_labels(churn, churn.encode(table), split):
        ...     print(note)
        task 'churn': the 2 labelled validation rows are all 'yes', so there is little to score
        task 'churn': the test rows have no label, so it is not scored on them
    """
    known, task = labelled(encoded), target.name
    for name, rows in (("validation", split.validation), ("test", split.test)):
        if not len(rows):
            continue
        labels = encoded[rows][known[rows]]
        if not len(labels):
            yield f"task {task!r}: the {name} rows have no label, so it is not scored on them"
        elif (only := target.only_class(labels)) is not None:
            count = f"{len(labels):,} labelled {name} row{'s' * (len(labels) != 1)}"
            yield f"task {task!r}: the {count} are all {only!r}, so there is little to score"


def refuse_cut_groups(
    target: Target, encoded: NDArray[Any], split: Splits, name_row: RowName
) -> None:
    """Check that rows that a task compares with each other are in the same split.

    Args:
        target: Its target.
        encoded: Its labels, encoded, of all rows.
        split: The rows of each split.
        name_row: Names a row in the message.

    Raises:
        InputError: If two rows of a group are in different splits.
    """
    groups = target.groups(encoded)
    if groups is None:
        return
    places = np.full(len(encoded), -1)
    for place, name in enumerate(SPLITS):
        places[getattr(split, name)] = place
    rows = np.flatnonzero(~np.isnan(groups) & (places >= 0))
    rows = rows[np.argsort(groups[rows], kind="stable")]
    cut = (groups[rows[1:]] == groups[rows[:-1]]) & (places[rows[1:]] != places[rows[:-1]])
    if cut.any():
        pair = rows[cut.argmax()], rows[cut.argmax() + 1]
        found = " and ".join(f"{name_row(int(r))} in {SPLITS[places[r]]}" for r in pair)
        column = target.beside[0]
        count = len(np.unique(groups[rows[1:]][cut]))
        raise InputError(
            f"found {count:,} lists of task {target.name!r} with rows in several splits, for "
            f"example {found} have the same {column!r}; give split: {{group: {column}}}, or mark "
            "whole lists"
        )


def labelled(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows have a label."""
    known = ~np.isnan(targets) if targets.dtype.kind == "f" else targets != MISSING
    rows: NDArray[np.bool_] = known.reshape(len(known), -1).any(axis=1)
    return rows
