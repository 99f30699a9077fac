"""Counts of labels by split, which add up over parts of the rows."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.split_labels import labelled
from motet.data.targets.base import Target


@dataclass
class Tally:
    """The labels of one task in one split."""

    rows: int = 0
    """Rows with a label."""
    classes: list[int] | None = None
    """Labels of each class; None before any, empty where they cannot be counted."""
    only: list[str | None] = field(default_factory=list)
    """Names of the only classes of parts, None for parts with several."""
    weights: float = 0.0
    """Sum of the weights of labelled rows."""
    squares: float = 0.0
    """Sum of their squares."""

    def add(self, target: Target, encoded: NDArray[Any], weights: NDArray[Any] | None) -> None:
        """Count encoded labels (n, ...), and the weights of their rows (n,)."""
        known = labelled(encoded)
        count = int(known.sum())
        counts = target.class_counts(encoded)
        if self.classes is None:
            self.classes = list(counts)
        elif self.classes and counts:
            self.classes = [a + b for a, b in zip(self.classes, counts, strict=True)]
        else:
            self.classes = []
        if count:
            only = target.only_class(encoded[known])
            self.only = [*self.only, only] if only not in self.only else self.only
            self.rows += count
        if weights is not None:
            own = weights[known].astype(np.float64)
            self.weights += float(own.sum())
            self.squares += float(np.square(own).sum())

    @property
    def only_class(self) -> str | None:
        """The class of all labels, if they have one."""
        return self.only[0] if len(self.only) == 1 else None

    @property
    def effective(self) -> float:
        """Effective number of rows with weights."""
        return self.weights**2 / self.squares if self.squares else 0.0


@dataclass
class SplitTally:
    """The rows of one split."""

    rows: int = 0
    unlabelled: int = 0
    """Rows without a label of any task."""
    tasks: dict[str, Tally] = field(default_factory=dict)

    def add(
        self,
        targets: Mapping[str, Target],
        encoded: Mapping[str, NDArray[Any]],
        weights: Mapping[str, NDArray[Any]],
        rows: int,
    ) -> None:
        """Count rows.

        Args:
            targets: The target of each task.
            encoded: Their labels by task.
            weights: Their weights by task.
            rows: Number of rows.
        """
        self.rows += rows
        known = np.zeros(rows, bool)
        for task, labels in encoded.items():
            known |= labelled(labels)
            tally = self.tasks.setdefault(task, Tally())
            tally.add(targets[task], labels, weights.get(task))
        self.unlabelled += int((~known).sum())

    def state(self) -> dict[str, Any]:
        """Return the counts, as JSON can hold them."""
        return asdict(self)

    @staticmethod
    def of(state: Mapping[str, Any]) -> "SplitTally":
        """Return the counts that `state` returned."""
        tasks = {task: Tally(**each) for task, each in state["tasks"].items()}
        return SplitTally(state["rows"], state["unlabelled"], tasks)


Tallies = Mapping[str, SplitTally]
"""By split, of the splits that have rows."""


def lacking_labels(task: str, tallies: Tallies) -> Iterator[str]:
    """Report which of validation and test cannot score a task, as far as its labels show.

    Args:
        task: Its name.
        tallies: The labels of each split.

    Yields:
        A sentence for each such split.

    Example:
        >>> from motet.data.targets.classes import ClassTarget
        >>> import pyarrow as pa
        >>> target, tallies = ClassTarget("churn"), {}
        >>> target.fit(pa.table({"churn": ["no", "yes"]}))
        >>> for split, labels in (("validation", [1, 1]), ("test", [-100])):
        ...     tallies[split] = SplitTally()
        ...     tallies[split].add({"churn": target}, {"churn": np.array(labels)}, {}, len(labels))
        >>> for note in lacking_labels("churn", tallies):
        ...     print(note)
        task 'churn': the 2 labelled validation rows are all 'yes', so there is little to score
        task 'churn': the test rows have no label, so it is not scored on them
    """
    for name in ("validation", "test"):
        if name not in tallies:
            continue
        tally = tallies[name].tasks[task]
        if not tally.rows:
            yield f"task {task!r}: the {name} rows have no label, so it is not scored on them"
        elif (only := tally.only_class) is not None:
            count = f"{tally.rows:,} labelled {name} row{'s' * (tally.rows != 1)}"
            yield f"task {task!r}: the {count} are all {only!r}, so there is little to score"
