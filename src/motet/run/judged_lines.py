"""On which rows tasks are trained and evaluated, and how much these count, as a run reports it."""

from collections.abc import Iterator, Sequence

from motet.data.judged_rows import JudgedRows
from motet.data.split_labels import labelled
from motet.figures import figure
from motet.run.prepared import Prepared
from motet.tasks.statistics import effective_rows

SPLITS = ("train", "validation", "test")


def judged_rows(prepared: Prepared) -> Iterator[Sequence[str]]:
    """Report for tasks with a condition or weights how many rows each split has of them."""
    for name, task in prepared.config.tasks.items():
        if name not in prepared.rows.tasks:
            continue
        chosen = JudgedRows.of(name, task.options())
        if chosen.any:
            rows = ", ".join(_counts(prepared, name))
            what = [f"where {chosen.rows}"] if chosen.rows else []
            what += [f"weighted by {chosen.row_weight}"] if chosen.row_weight else []
            yield name, " and ".join(what), rows


def _counts(prepared: Prepared, task: str) -> Iterator[str]:
    known, weights = labelled(prepared.targets[task]), prepared.weights.get(task)
    for split in SPLITS:
        rows = getattr(prepared.rows.split, split)
        if not len(rows):
            continue
        counted = rows[known[rows]]
        text = f"{len(counted):,} {split}"
        if weights is not None:
            own = weights[counted].astype(float)
            text += f" (sum {figure(own.sum())}, effective {effective_rows(own):,.0f})"
        yield text
