"""Learning curves: scores of all tasks over epochs, the learning rate, and losses of one task."""

from collections.abc import Mapping, Sequence
from typing import Any

from motet.figures import figure
from motet.report.elements import Element, Figure, Section
from motet.report.facts import Record, RunFacts
from motet.report.marks import Curve, curves, points


def learning(run: RunFacts) -> Section | None:
    """Return the section; None before the first epoch."""
    parts: list[Element] = []
    if run.evaluations:
        parts.append(score_curves(run))
    if run.epochs:
        parts.append(_losses(run))
    if run.steps:
        at = [record["step"] for record in run.steps]
        rates = [record["learning_rate"] for record in run.steps]
        parts.append(
            curves(
                "Learning rate",
                {"learning rate": (at, rates)},
                x="step",
                y="learning rate",
                text=f"The highest was {figure(max(rates))}.",
                by_task=False,
            )
        )
    return Section("Learning curves", parts) if parts else None


def score_curves(run: RunFacts) -> Figure:
    """Draw the score of each task on the validation rows."""
    x, places = _axis(run.evaluations)
    mean: Curve = (places, [record.get("score") for record in run.evaluations])
    found: dict[str, Curve] = {
        task: (places, [(record.get("scores") or {}).get(task) for record in run.evaluations])
        for task in run.tasks
    }
    found = {task: curve for task, curve in found.items() if any(v is not None for v in curve[1])}
    best = [place for place, r in zip(places, run.evaluations, strict=True) if r.get("best")]
    known = [value for value in mean[1] if value is not None]
    reached = f"The mean score reached {figure(max(known))}" if known else "There is no score"
    at = f" at {x} {best[-1]:,}, whose weights are kept" if best else ""
    return curves(
        "Scores on validation rows",
        found,
        x=x,
        y="score",
        text=f"{reached}{at}; 0 is a constant prediction, 1 is perfect.",
        beside={"mean of main tasks": mean},
        kept={"kept": best[-1]} if best else None,
        wide=True,
    )


def _losses(run: RunFacts) -> Figure:
    places = [record["epoch"] for record in run.epochs]
    found: dict[str, Curve] = {
        task: (places, [record["tasks"].get(task, {}).get("loss") for record in run.epochs])
        for task in _trained(run)
    }
    return curves(
        "Training losses",
        found,
        x="epoch",
        y="mean loss",
        text="Mean loss of each task on the training rows, auxiliary tasks included.",
    )


def _trained(run: RunFacts) -> Sequence[str]:
    return list(dict.fromkeys(task for record in run.epochs for task in record["tasks"]))


def task_curves(run: RunFacts, task: str) -> Figure | None:
    """Draw the losses of one task on training and on validation rows."""
    found: dict[str, Curve] = {}
    for name, records in (("training", run.epochs), ("validation", run.evaluations)):
        own = [(r["epoch"], r["tasks"][task].get("loss")) for r in records if task in r["tasks"]]
        if own:
            found[name] = ([place for place, _ in own], [value for _, value in own])
    if not found:
        return None
    return curves(
        "Loss",
        found,
        x="epoch",
        y="loss",
        text=_fall(found),
        by_task=False,
        most=points(len(run.tasks)),
    )


def _fall(found: Mapping[str, Curve]) -> str:
    said = []
    for name, (places, values) in found.items():
        known = {p: v for p, v in zip(places, values, strict=True) if v is not None}
        if known:
            low = min(known, key=known.__getitem__)
            said.append(f"lowest {name} loss {figure(known[low])} at epoch {low}")
    return "; ".join(said).capitalize() + "."


def _axis(records: Sequence[Record]) -> tuple[str, list[Any]]:
    """Return what evaluations are counted in: epochs, or steps where there are several in one."""
    epochs = [record["epoch"] for record in records]
    if len(set(epochs)) == len(epochs):
        return "epoch", epochs
    return "step", [record["step"] for record in records]
