"""How many labels each split has of each task, and of each of its classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from motet.data.split_labels import SPLITS
from motet.run.layout import columns
from motet.run.prepared import Part
from motet.run.shortened import MANY

_SHOWN = 6
"""Number of classes of a task up to which all are listed; of more, the rarest are."""

Counts = Mapping[str, int]
"""Numbers of labels by split, of the splits that have rows."""


@dataclass(frozen=True)
class LabelCounts:
    """The labels of one task."""

    task: str
    rows: Counts
    """Rows with a label."""
    classes: Mapping[str, Counts]
    """Labels of each class, or positives of each label, or words with each tag; empty where labels
    are numbers."""
    every_class_scores: bool
    """Whether few labels of a single class make the score noisy."""

    @property
    def rarest(self) -> list[str]:
        """The classes, the rarest in the training rows first."""
        return sorted(self.classes, key=lambda name: self.classes[name]["train"])


def count_labels(prepared: Part) -> list[LabelCounts]:
    """Count the labels of every task."""
    tallies = prepared.tallies
    found = []
    for task in next(iter(tallies.values())).tasks:
        target = prepared.preprocessing.target(task)
        by_split = {name: each.tasks[task].classes for name, each in tallies.items()}
        found.append(
            LabelCounts(
                task,
                {name: each.tasks[task].rows for name, each in tallies.items()},
                {
                    label: {name: counts[place] for name, counts in by_split.items() if counts}
                    for place, label in enumerate(target.names)
                    if all(by_split.values())
                },
                target.every_class_scores,
            )
        )
    return found


def unlabelled(prepared: Part) -> Counts:
    """Count the rows that have no label of any task, of the splits that have such rows."""
    counts = {name: each.unlabelled for name, each in prepared.tallies.items() if each.tasks}
    return {name: count for name, count in counts.items() if count}


def class_table(counts: Sequence[LabelCounts]) -> Iterator[str]:
    """Show how many labels of each class each split has; of many, those of the rarest classes."""
    having = [each for each in counts if each.classes]
    if not having:
        return
    if len(having) > MANY:
        yield from _rarest_table(having)
        return
    splits = [name for name in SPLITS if any(name in each.rows for each in having)]
    rows = [("", "", *splits)]
    for each in having:
        whole = len(each.classes) <= _SHOWN
        names = list(each.classes) if whole else each.rarest[: _SHOWN - 1]
        for place, name in enumerate(names):
            of = each.classes[name]
            title = each.task if place == 0 else ""
            rows.append((title, _short(name), *(f"{of.get(name, 0):,}" for name in splits)))
        if not whole:
            rows.append(("", f"(rarest of {len(each.classes):,})", *("" for _ in splits)))
    yield from columns(rows, right=range(2, 2 + len(splits)))


def _rarest_table(counts: Sequence[LabelCounts]) -> Iterator[str]:
    """Show, of many tasks, those with the rarest classes in the training rows."""
    splits = [name for name in SPLITS if any(name in each.rows for each in counts)]
    found = [(each.classes[name := each.rarest[0]], name, each) for each in counts]
    found.sort(key=lambda each: each[0]["train"])
    rows = [("", "rarest class", *splits)]
    for of, name, each in found[:MANY]:
        numbers = (f"{of.get(split, 0):,}" for split in splits)
        rows.append((each.task, f"{_short(name)} of {len(each.classes):,}", *numbers))
    yield from columns(rows, right=range(2, 2 + len(splits)))
    left = found[MANY:]
    yield f"and {len(left):,} more tasks: {left[0][0]['train']:,} train or more of each class"


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


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:37]}..."
