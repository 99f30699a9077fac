"""How many labels each split has of each task, and of each of its classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.split_labels import labelled
from motet.data.targets.classes import MISSING
from motet.registry import TASKS
from motet.run.layout import columns
from motet.run.preparing import Prepared

SPLITS = ("train", "validation", "test")

_SHOWN = 6
"""Classes of a task that are all listed; of more, the rarest ones."""
_MANY = 24
"""Tasks of which only the rarest class is listed."""

Counts = Mapping[str, int]
"""Numbers of labels by split, of the splits that have rows."""


@dataclass(frozen=True)
class LabelCounts:
    """The labels of one task."""

    task: str
    kind: str
    rows: Counts
    """Rows with a label."""
    classes: Mapping[str, Counts]
    """Labels of each class, or positives of each label, or words with each tag; empty where labels
    are numbers."""

    @property
    def rarest(self) -> list[str]:
        """The classes, from the rarest in the training rows on."""
        return sorted(self.classes, key=lambda name: self.classes[name]["train"])


def count_labels(prepared: Prepared) -> list[LabelCounts]:
    """Count the labels of every task."""
    split = prepared.rows.split
    parts = {name: rows for name in SPLITS if len(rows := getattr(split, name))}
    found = []
    for task, targets in prepared.targets.items():
        known = labelled(targets)
        names = getattr(prepared.preprocessing.target(task), "names", ())
        by_part = {part: _by_class(targets[rows], len(names)) for part, rows in parts.items()}
        found.append(
            LabelCounts(
                task,
                TASKS[prepared.config.tasks[task].type].labels,
                {part: int(known[rows].sum()) for part, rows in parts.items()},
                {
                    name: {part: counts[place] for part, counts in by_part.items()}
                    for place, name in enumerate(names)
                    if all(by_part.values())
                },
            )
        )
    return found


def unlabelled(prepared: Prepared) -> Counts:
    """Count the rows that have no label of any task, of the splits that have such rows."""
    known = np.any([labelled(each) for each in prepared.targets.values()], axis=0)
    split = prepared.rows.split
    counts = {name: int((~known[getattr(split, name)]).sum()) for name in SPLITS}
    return {name: count for name, count in counts.items() if count}


def class_table(counts: Sequence[LabelCounts]) -> Iterator[str]:
    """Show how many labels of each class each split has; of many, those of the rarest classes."""
    having = [each for each in counts if each.classes]
    if not having:
        return
    most = 1 if len(having) > _MANY else _SHOWN
    parts = list(having[0].rows)
    rows = [("", "", *parts)]
    for each in having:
        whole = len(each.classes) <= most
        names = list(each.classes) if whole else each.rarest[: max(1, most - 1)]
        for place, name in enumerate(names):
            of = each.classes[name]
            title = each.task if place == 0 else ""
            rows.append((title, _short(name), *(f"{of[part]:,}" for part in parts)))
        if not whole:
            rows.append(("", f"(rarest of {len(each.classes):,})", *("" for _ in parts)))
    yield from columns(rows, right=range(2, 2 + len(parts)))


def share(count: int, rows: int) -> str:
    """Write a share of rows.

    Returns:
        A percentage; "100%" only of all rows, and "0%" only of none.

    Example:
        >>> share(13996, 14000), share(14000, 14000), share(1, 14000)
        ('>99%', '100%', '<1%')
    """
    if 0 < count < rows:
        return {"0%": "<1%", "100%": ">99%"}.get(text := f"{count / rows:.0%}", text)
    return f"{count / rows:.0%}"


def _by_class(targets: NDArray[Any], classes: int) -> list[int]:
    """Count labels by class; nothing where they are numbers or shares of classes."""
    if targets.dtype.kind != "f":
        return list(map(int, np.bincount(targets[targets != MISSING], minlength=classes)))
    if targets.ndim == 2 and targets.shape[1] == classes and _is_binary(targets):
        return list(map(int, (targets == 1).sum(axis=0)))
    return []


def _is_binary(targets: NDArray[Any]) -> bool:
    return bool(np.isin(targets[~np.isnan(targets)], (0, 1)).all())


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:37]}..."
