"""How much each task counted: weights, shares of the loss, norms of gradients."""

from collections.abc import Callable, Mapping
from typing import Any

from motet.figures import figure
from motet.report.elements import Element, Figure, Lines, Section, Table
from motet.report.facts import RunFacts
from motet.report.marks import Curve, curves, heat_map, thinned


def balancing(run: RunFacts) -> Section | None:
    """Return the section; None if no step was recorded."""
    if not run.steps:
        return None
    parts: list[Element] = []
    weights = _over_steps(run, lambda values: values.get("weight"))
    if not weights:
        line = "The balancer has no weights: its direction is no weighted sum of task gradients."
        parts.append(Lines([line]))
    elif all(value == 1 for _, values in weights.values() for value in values):
        parts.append(Lines(["Every task has weight 1 at every recorded step."]))
    else:
        parts.append(
            curves(
                "Weights of the tasks",
                weights,
                x="step",
                y="weight",
                text=_last("Last weights", weights),
            )
        )
    norms = _over_steps(run, lambda values: values.get("gradient_norm"))
    if norms:
        parts.append(
            curves(
                "Norms of the tasks' gradients on the shared parameters",
                norms,
                x="step",
                y="norm",
                text=_last("Last norms", norms),
                log=True,
            )
        )
    shares = _shares(run) if weights else {}
    if shares:
        parts.append(_share_map(shares))
    whole = [record.get("gradient_norm") for record in run.steps]
    parts.append(
        curves(
            "Norm of the whole gradient, before clipping",
            {"gradient": ([record["step"] for record in run.steps], whole)},
            x="step",
            y="norm",
            text="At the recorded steps.",
            by_task=False,
        )
    )
    stages = ", then ".join(dict.fromkeys(record["balancer"] for record in run.steps))
    return Section("Balancing", parts, f"Balancer: {stages}. One of about 50 steps is recorded.")


def _over_steps(
    run: RunFacts, value: Callable[[Mapping[str, Any]], float | None]
) -> dict[str, Curve]:
    found: dict[str, tuple[list[float], list[float | None]]] = {}
    for record in run.steps:
        for task, values in record["tasks"].items():
            known = value(values)
            if known is not None:
                own = found.setdefault(task, ([], []))
                own[0].append(record["step"])
                own[1].append(known)
    return dict(found)


def _shares(run: RunFacts) -> dict[str, Curve]:
    """Return each task's part of the sum of weighted losses, where no loss is negative."""
    places, rows = [], []
    for record in run.steps:
        parts = {
            task: values["loss"] * weight
            for task, values in record["tasks"].items()
            if values.get("loss") is not None and (weight := values.get("weight", 1.0)) is not None
        }
        total = sum(parts.values())
        if total > 0 and min(parts.values()) >= 0:
            places.append(record["step"])
            rows.append({task: part / total for task, part in parts.items()})
    tasks = dict.fromkeys(task for row in rows for task in row)
    return {task: (places, [row.get(task) for row in rows]) for task in tasks}


def _share_map(shares: Mapping[str, Curve]) -> Figure:
    title, places = "Shares of the weighted loss", next(iter(shares.values()))[0]
    chosen = thinned(len(places), 120)
    at = [places[place] for place in chosen]
    means = {
        task: sum(known) / len(known)
        for task, (_, values) in shares.items()
        if (known := [v for v in values if v is not None])
    }
    largest = sorted(means, key=lambda task: -means[task])[:3]
    listed = ", ".join(f"{task} {means[task]:.0%}" for task in largest)
    return heat_map(
        title,
        [[values[place] for place in chosen] for _, values in shares.values()],
        rows=list(shares),
        columns=at,
        x="step",
        y="",
        text=f"Largest on average: {listed}.",
        table=Table(("task", "mean share"), list(means.items()), list(means), bars=(1,)),
        limits=(0, max(value for _, values in shares.values() for value in values if value)),
        what="of the loss",
    )


def _last(what: str, found: Mapping[str, Curve]) -> str:
    last = {task: values[-1] for task, (_, values) in found.items() if values[-1] is not None}
    low, high = min(last, key=last.__getitem__), max(last, key=last.__getitem__)
    return f"{what}: from {figure(last[low])} ({low}) to {figure(last[high])} ({high})."
