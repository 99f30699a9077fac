"""Several runs side by side: a table of scores, and their curves over each other."""

from collections.abc import Sequence
from typing import Any

from motet.figures import figure
from motet.report.elements import Element, Figure, Panel, Section, Table, Tiles, Titled
from motet.report.facts import RunFacts
from motet.report.marks import Curve, curves, heat_map


def several(runs: Sequence[RunFacts]) -> list[Section]:
    """Return the sections of a page about several runs."""
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    first: list[Element] = [
        Tiles({"runs": str(len(runs)), "tasks": str(len(tasks))}),
        Titled("Runs", _run_table(runs)),
        Titled("Scores", _score_table(runs, tasks)),
        _score_map(runs, tasks),
    ]
    found = [_scores(runs)]
    panels: list[Element] = [
        Panel(task, "", parts) for task in tasks if (parts := _task_curves(runs, task))
    ]
    return [
        Section("Summary", first, _sentence(runs)),
        Section("Learning curves", [each for each in found if each is not None]),
        Section("Tasks", panels, "On validation rows."),
    ]


def _sentence(runs: Sequence[RunFacts]) -> str:
    known = {run.name: run.outcome.get("score") for run in runs if run.outcome is not None}
    scores = {name: score for name, score in known.items() if score is not None}
    if not scores:
        return "No run has a score yet."
    best = max(scores, key=scores.__getitem__)
    return (
        f"The highest mean score is {figure(scores[best])}, of {best}. Runs differ by chance, "
        "too; motet compare shows which differences are larger than that."
    )


def _run_table(runs: Sequence[RunFacts]) -> Table:
    rows = []
    for run in runs:
        record: Any = run.outcome or {}
        last = run.epochs[-1] if run.epochs else {}
        rows.append(
            (
                run.name,
                run.sharing,
                run.balancing,
                record.get("split", ""),
                record.get("score"),
                last.get("epoch"),
                last.get("step"),
                float(sum(each["seconds"] for each in run.epochs)),
            )
        )
    head = ("run", "sharing", "balancing", "evaluated on", "score", "epochs", "steps", "seconds")
    return Table(head, rows)


def _score_table(runs: Sequence[RunFacts], tasks: Sequence[str]) -> Table:
    rows = []
    for task in tasks:
        for place, run in enumerate(runs):
            values = (run.outcome or {}).get("tasks", {}).get(task, {})
            metric = next((name for name in values if name not in ("loss", "count")), None)
            number = values.get(metric) if metric else None
            label = task if place == 0 else ""
            rows.append((label, run.name, metric, number, run.scores.get(task)))
    each = [task for task in tasks for _ in runs]
    return Table(("task", "run", "metric", "value", "score"), rows, each, bars=(4,))


def _score_map(runs: Sequence[RunFacts], tasks: Sequence[str]) -> Figure:
    values = [[run.scores.get(task) for run in runs] for task in tasks]
    table = Table(("task", *(run.name for run in runs)), _named(tasks, values), tasks)
    return heat_map(
        "Score of each task",
        values,
        rows=tasks,
        columns=[run.name for run in runs],
        x="run",
        y="",
        text="0 is a predictor that ignores the inputs, 1 is perfect.",
        table=table,
        limits=(0, 1),
        wide=True,
    )


def _named(tasks: Sequence[str], values: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [(task, *row) for task, row in zip(tasks, values, strict=True)]


def _scores(runs: Sequence[RunFacts]) -> Figure | None:
    found: dict[str, Curve] = {
        run.name: (
            [record["epoch"] for record in run.evaluations],
            [record.get("score") for record in run.evaluations],
        )
        for run in runs
        if run.evaluations
    }
    if not found:
        return None
    return curves(
        "Mean scores on validation rows",
        found,
        x="epoch",
        y="score",
        text="The mean score of the main tasks of each run.",
        by_task=False,
        wide=True,
    )


def _task_curves(runs: Sequence[RunFacts], task: str) -> list[Element]:
    metric = next(
        (
            name
            for run in runs
            for record in run.evaluations
            for name in record["tasks"].get(task, {})
            if name not in ("loss", "count")
        ),
        None,
    )
    parts: list[Element] = []
    for name in filter(None, (metric, "loss")):
        found: dict[str, Curve] = {}
        for run in runs:
            own = [r for r in run.evaluations if name in r["tasks"].get(task, {})]
            if own:
                found[run.name] = ([r["epoch"] for r in own], [r["tasks"][task][name] for r in own])
        if found:
            parts.append(
                curves(name, found, x="epoch", y=name, text=f"{name} of {task}.", by_task=False)
            )
    return parts
