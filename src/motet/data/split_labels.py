"""What the splits lack of a task: every label, or all classes but one."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.splits import Split
from motet.data.targets.classes import MISSING


def lacking_labels(
    task: str, targets: NDArray[Any], names: Sequence[str], split: Split
) -> Iterator[str]:
    """Say which of validation and test cannot score a task, as far as its labels show that.

    Args:
        task: Its name.
        targets: Its labels, encoded, of all rows.
        names: Its classes or labels, if it has some.
        split: The rows of each split.

    Yields:
        A sentence for each such split.

    Example:
        >>> parts = Split(np.array([0, 1]), np.array([2, 3]), np.array([4]))
        >>> targets = np.array([0, 1, 1, 1, -100])
        >>> for note in lacking_labels("churn", targets, ["no", "yes"], parts):
        ...     print(note)
        task 'churn': the 2 labelled validation rows are all 'yes', so there is little to score
        task 'churn': the test rows have no label, so it is not scored on them
    """
    known = labelled(targets)
    for name, rows in (("validation", split.validation), ("test", split.test)):
        if not len(rows):
            continue
        labels = targets[rows][known[rows]]
        if not len(labels):
            yield f"task {task!r}: the {name} rows have no label, so it is not scored on them"
        elif labels.dtype.kind != "f" and labels.ndim == 1 and (labels == labels[0]).all():
            count = f"{len(labels):,} labelled {name} row{'s' * (len(labels) != 1)}"
            yield (
                f"task {task!r}: the {count} are all {names[labels[0]]!r}, so there is little to "
                "score"
            )


def labelled(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows have a label."""
    known = ~np.isnan(targets) if targets.dtype.kind == "f" else targets != MISSING
    rows: NDArray[np.bool_] = known.reshape(len(known), -1).any(axis=1)
    return rows
