"""What a run reports about its schedule: how often tasks are drawn, and how often they trained."""

from collections.abc import Iterator, Mapping
from math import inf

from motet.data.selection import listed
from motet.figures import figure
from motet.run.building import train_statistics
from motet.run.layout import line, wrapped
from motet.run.prepared import AnyPrepared
from motet.scheduling import Progress
from motet.training import EpochRecord, Trainer


def scheduling_lines(prepared: AnyPrepared, trainer: Trainer) -> Iterator[str]:
    """Report which tasks train how often, unless all train at every step, and from which epoch."""
    planner, scheduler = trainer.planner, trainer.planner.scheduler
    name, tasks = prepared.config.scheduling.type, planner.labelled_in(inf)
    known = train_statistics(prepared, trainer.model.tasks)
    rows = {task: each.labelled for task, each in known.items()}
    late = {t.name: t.enabled_from for t in trainer.model.tasks if t.enabled_from > 1}
    if "own_rows" in scheduler.needs and tasks:
        yield from wrapped("scheduling", _own_rows(name, rows, tasks, trainer.batch_size))
    elif scheduler.partial:
        scheduler.facts.rows = rows
        scheduler.facts.progress = Progress(1, prepared.config.training.epoch_count)
        shares = scheduler.probabilities(tasks) if tasks else None
        scheduler.facts.progress = None
        drawn = [
            f"{task} {100 * share:.3g} %" for task, share in zip(tasks, shares or (), strict=False)
        ]
        what = "one step per cycle of draws" if scheduler.combine else "a draw per step"
        each = f" of {scheduler.tasks_per_step} tasks" if scheduler.tasks_per_step > 1 else ""
        first = " in the first epoch" if "progress" in scheduler.needs else ""
        start = f"{name}, {what}{each}" + (f"; drawn first{first}: {drawn[0]}" if drawn else "")
        yield from wrapped("scheduling", [start, *drawn[1:]])
    if late:
        yield line("enabled", ", ".join(f"{task} from epoch {n}" for task, n in late.items()))


def _own_rows(
    name: str, rows: Mapping[str, int], tasks: list[str], batch_size: int
) -> Iterator[str]:
    largest = max(tasks, key=rows.__getitem__)
    size = batch_size // len(tasks)
    yield f"{name}, {size:,} labelled row{'s' * (size != 1)} of each task per step"
    for task in tasks:
        ratio = rows[largest] / rows[task]
        if ratio > 1:
            yield f"a row of {task} is used {figure(ratio)} times as often as one of {largest}"


def scheduled_line(record: EpochRecord) -> str:
    """Report how many steps of an epoch trained each task."""
    steps = record.scheduled or {}
    return line("trained", "steps of " + listed(f"{t} {n['steps']:,}" for t, n in steps.items()))
