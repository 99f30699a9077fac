"""The summary of a run: scores, metrics beside those of a constant prediction, what to do next."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from motet.data.selection import listed
from motet.figures import counted, duration, figure
from motet.report.conflicts import fighting
from motet.report.elements import Element, Figure, Lines, Section, Table, Tiles, Titled
from motet.report.facts import RunFacts
from motet.report.marks import bars

_MANY = 8
"""Tasks above which their scores are drawn, too."""
_NAMED, _PAIRS = 6, 3
"""Tasks, and pairs of them, that an advice names."""
_FEW = 100
"""Labelled training rows below which a task is said to have few."""


def summary(run: RunFacts) -> Section:
    """Return the first section."""
    parts: list[Element] = [Tiles(_tiles(run))]
    if run.outcome is not None:
        split = "test rows" if run.test is not None else "validation rows, best epoch"
        parts.append(Titled(f"Tasks, {split}", _table(run, run.outcome)))
    if len(run.tasks) > _MANY and any(score is not None for score in run.scores.values()):
        parts.append(_score_bars(run))
    advice = list(_advice(run))
    parts.append(
        Lines([line for line, _ in advice], "What to do next", [command for _, command in advice])
    )
    if run.notes:
        parts.append(Lines(run.notes, "Notes"))
    return Section("Summary", parts, _sentence(run))


def _score_bars(run: RunFacts) -> Figure:
    known = {task: score for task, score in run.scores.items() if score is not None}
    order = sorted(known, key=known.__getitem__, reverse=True)
    return bars(
        "Scores of all tasks",
        order,
        {"score": [known[task] for task in order]},
        x="score",
        text=f"{counted(len(order), 'task')}, the highest first; 0 is a constant "
        "prediction, 1 is perfect.",
        wide=True,
    )


def _sentence(run: RunFacts) -> str:
    tasks = counted(len(run.tasks), "task")
    with_ = f"{run.sharing or 'unknown'} sharing and {run.balancing or 'unknown'} balancing"
    start = f"{tasks} with {with_}."
    if run.outcome is None:
        return f"{start} The run has no evaluation yet."
    known = {task: score for task, score in run.scores.items() if score is not None}
    rows = "the test rows" if run.test is not None else "the validation rows, as there is no test"
    ends = ""
    if len(known) > 1:
        low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        ends = f", from {figure(known[low])} ({low}) to {figure(known[high])} ({high})"
    return (
        f"{start} On {rows} the mean score is {figure(run.outcome.get('score'))}{ends}; 0 is a "
        "predictor that ignores the inputs, 1 is perfect."
    )


def _tiles(run: RunFacts) -> dict[str, str]:
    found = {"tasks": f"{len(run.tasks)}"}
    rows: dict[str, int] = {}
    for source in run.data.get("sources", {}).values():
        for split, count in source["rows"].items():
            rows[split] = rows.get(split, 0) + count
    found |= {f"{split} rows": f"{count:,}" for split, count in rows.items() if count}
    if run.outcome is not None:
        found["score"] = figure(run.outcome.get("score"))
    best = [record["epoch"] for record in run.evaluations if record.get("best")]
    if run.epochs:
        last = run.epochs[-1]
        found["epochs"] = f"{last['epoch']}" + (f" (best {best[-1]})" if best else "")
        found["steps"] = f"{last['step']:,}"
        seconds = sum(record["seconds"] for record in run.epochs)
        found["time of epochs"] = duration(seconds)
    return found


def _table(run: RunFacts, record: Mapping[str, Any]) -> Table:
    rows, tasks = [], []
    trivial, scores = record.get("trivial") or {}, record.get("scores") or {}
    for name, task in run.tasks.items():
        values = record["tasks"].get(name, {})
        metrics = [metric for metric in values if metric not in ("loss", "count")]
        for place, metric in enumerate(metrics):
            first = place == 0
            rows.append(
                (
                    name if first else "",
                    f"{task.type}{'' if task.main else ', not main'}" if first else "",
                    metric,
                    _number(values[metric]),
                    trivial.get(name, {}).get(metric),
                    scores.get(name) if first else None,
                    values.get("count") if first else None,
                )
            )
            tasks.append(name)
    head = ("task", "type", "metric", "model", "constant prediction", "score", "labels")
    return Table(head, rows, tasks, bars=(5,))


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _advice(run: RunFacts) -> Iterator[tuple[str, str]]:
    """Yield what the facts suggest, and what to type."""
    scores = run.scores.items()
    useless = listed((t for t, score in scores if score is not None and score <= 0), _NAMED)
    if useless:
        yield (
            f"No better than a constant prediction: {useless}. Check their labels and the "
            "inputs that should determine them; a task that cannot be predicted costs the others.",
            "",
        )
    few = listed(_few_labels(run), _NAMED)
    if few:
        yield (
            f"Fewer than {_FEW} labelled training rows: {few}. Their results depend on the "
            "split; use folds (data.split.folds), and read their scores with care.",
            "",
        )
    over = listed(_overfitted(run), _NAMED)
    if over:
        yield (
            f"The validation loss rose by more than 10 % after its minimum: {over}. More "
            "regularisation, fewer epochs, or keep: each (the best weights of each task) may help.",
            "",
        )
    best = [record["epoch"] for record in run.evaluations if record.get("best")]
    if best and run.epochs and best[-1] == run.epochs[-1]["epoch"] > 1:
        yield (
            "The last epoch was the best, so the model was still improving; train longer.",
            f"motet train {run.path}/config.yaml training.epochs={2 * best[-1]}",
        )
    pairs = listed((f"{one} and {other}" for one, other in fighting(run)), _PAIRS)
    if pairs:
        yield (
            f"The gradients of {pairs} point against each "
            "other on average; a balancer that reads gradients, or groups of tasks that share, may "
            "help.",
            "",
        )
    if len(run.tasks) > 1:
        yield (
            "Whether the tasks help each other at all, only a comparison with single-task models "
            "shows:",
            f"motet compare {run.path}/config.yaml",
        )
    if run.card:
        yield "Predict new rows:", f"motet predict {run.path} ROWS.csv --output predictions.csv"


def _few_labels(run: RunFacts) -> list[str]:
    found: dict[str, int] = {}
    for source in run.data.get("sources", {}).values():
        for task, labels in source["tasks"].items():
            found[task] = found.get(task, 0) + labels["rows"].get("train", 0)
    return [task for task, count in found.items() if count < _FEW and task in run.tasks]


def _overfitted(run: RunFacts) -> list[str]:
    found = []
    for task in run.tasks:
        losses = [r["tasks"].get(task, {}).get("loss") for r in run.evaluations]
        known = [loss for loss in losses if loss is not None]
        if known and min(known) > 0 and known[-1] > 1.1 * min(known):
            found.append(task)
    return found
