"""What a run reports about several sources: their inputs and tasks, and an epoch of them."""

from collections.abc import Iterator

from motet.run.layout import columns, titled
from motet.run.prepared import PreparedSources


def source_lines(prepared: PreparedSources) -> Iterator[str]:
    """Report the inputs and tasks of each source, and how many of its rows an epoch has."""
    training, scheduling = prepared.config.training, prepared.config.scheduling
    whole = scheduling.type == "all"
    sizes, steps = prepared.batch_sizes(), prepared.steps(training.batch_size)
    rows = []
    for name, part in prepared.parts.items():
        fed, size = part.rows.fed, sizes.get(name, training.batch_size)
        served = name, f"inputs {', '.join(fed['inputs'])}", f"tasks {', '.join(part.rows.tasks)}"
        count = part.counts["train"]
        seen = (
            f"{'' if whole else 'up to '}{_rows_of_epoch(count, size, steps):,} rows per epoch",
            f"{min(size, count):,} per step",
        )
        rows.append((*served, *(seen if name in prepared.used else ("not used", ""))))
    yield from titled("sources", columns(rows, right=()))
    lacking = [
        f"{name} lacks {', '.join(part.rows.lacking)}: missing in all of its rows"
        for name, part in prepared.parts.items()
        if part.rows.lacking
    ]
    yield from titled("", lacking)
    what = "draws" if scheduling.options().get("combine") else "steps"
    own = "of every source" if whole else "of each source of the tasks that it trains"
    yield from titled("", [f"{steps:,} {what} per epoch, each with a batch {own}"])


def _rows_of_epoch(rows: int, size: int, steps: int) -> int:
    """Return the rows in the first steps of a source that is repeated until the epoch ends."""
    batches = -(-rows // size)
    passes, rest = divmod(steps, batches)
    return passes * rows + min(rest * size, rows)
