"""Which rows have a label, and whether rows that belong together are in one split."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.row_names import RowName
from motet.data.splits import Splits
from motet.data.targets.base import Target
from motet.data.targets.classes import MISSING
from motet.figures import counted
from motet.problems import InputError

SPLITS = ("train", "validation", "test")
WITH_CALIBRATION = (*SPLITS, "calibration")


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
    for place, name in enumerate(WITH_CALIBRATION):
        places[getattr(split, name)] = place
    rows = np.flatnonzero(~np.isnan(groups) & (places >= 0))
    rows = rows[np.argsort(groups[rows], kind="stable")]
    cut = (groups[rows[1:]] == groups[rows[:-1]]) & (places[rows[1:]] != places[rows[:-1]])
    if cut.any():
        pair = rows[cut.argmax()], rows[cut.argmax() + 1]
        found = " and ".join(f"{name_row(int(r))} in {WITH_CALIBRATION[places[r]]}" for r in pair)
        column = target.beside[0]
        count = len(np.unique(groups[rows[1:]][cut]))
        raise InputError(
            f"found {counted(count, 'list')} of task {target.name!r} with rows in several splits, "
            f"for example {found} have the same {column!r}; give split: {{group: {column}}}, or "
            "mark whole lists"
        )


def labelled(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows have a label."""
    known = ~np.isnan(targets) if targets.dtype.kind == "f" else targets != MISSING
    rows: NDArray[np.bool_] = known.reshape(len(known), -1).any(axis=1)
    return rows
