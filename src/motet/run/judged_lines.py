"""On which rows tasks are trained and evaluated, and how much these count, as a run reports it."""

from collections.abc import Iterator, Sequence

from motet.data.judged_rows import JudgedRows
from motet.figures import figure
from motet.run.prepared import Part


def judged_rows(prepared: Part) -> Iterator[Sequence[str]]:
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


def _counts(prepared: Part, task: str) -> Iterator[str]:
    for split, found in prepared.tallies.items():
        tally = found.tasks[task]
        text = f"{tally.rows:,} {split}"
        if JudgedRows.of(task, prepared.config.tasks[task].options()).row_weight is not None:
            text += f" (sum {figure(tally.weights)}, effective {tally.effective:,.0f})"
        yield text
