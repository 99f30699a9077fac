"""Which tasks fight: cosines between their gradients over time and by layer, and affinity."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from motet.figures import counted, figure
from motet.report.elements import Element, Figure, Section, Table, Trace, capped, said
from motet.report.facts import Floats, RunFacts
from motet.report.marks import heat_map, thinned
from motet.report.short_names import short

_PAIRS = 40
"""Pairs of tasks whose cosines are shown over time; of more, those with the lowest means."""
_IN_GRAPH = 24
"""Tasks up to which affinity is drawn as a graph."""


def conflicts(run: RunFacts) -> Section | None:
    """Return the section; None if no record has cosines or affinities."""
    tasks = _tasks(run)
    over_time = _matrices(run, "cosines", tasks)
    parts: list[Element] = []
    if over_time:
        steps, cosines = over_time
        parts += [_mean_map(tasks, cosines), _pairs_map(tasks, steps, cosines)]
    groups = _groups(run, tasks)
    if len(groups) > 1:  # of one, the cosines are those of all shared parameters
        parts.append(_group_map(tasks, groups))
    affinity = _matrices(run, "affinity", tasks)
    if affinity:
        mean = _mean(affinity[1])
        parts.append(_affinity_map(tasks, mean, _standard_errors(affinity[1])))
        if len(tasks) <= _IN_GRAPH:
            parts.append(_affinity_graph(tasks, mean))
    return (
        Section(
            "Conflicts and affinity",
            parts,
            "A cosine below 0 means that a step for one task alone would raise the loss of the "
            "other one, to first order.",
        )
        if parts
        else None
    )


def fighting(run: RunFacts) -> list[tuple[str, str]]:
    """Return the pairs of tasks whose mean cosine is below -0.1, the lowest first."""
    tasks = _tasks(run)
    over_time = _matrices(run, "cosines", tasks)
    if not over_time:
        return []
    mean = _mean(over_time[1])
    return [(tasks[i], tasks[j]) for i, j in _pairs(mean) if mean[i, j] < -0.1]


def _tasks(run: RunFacts) -> list[str]:
    return list(dict.fromkeys(name for record in run.steps for name in _compared(record)))


def _compared(record: Mapping[str, Any]) -> Sequence[str]:
    """Return the tasks in the order of a record's matrices."""
    if not (record.get("cosines") or record.get("affinity")):
        return ()
    found: Sequence[str] = record.get("compared") or list(record["tasks"])
    return found


def _matrices(run: RunFacts, key: str, tasks: Sequence[str]) -> tuple[list[int], Floats] | None:
    """Return the steps that have a matrix, and all of them, (S, T, T); NaN where unknown."""
    records = [record for record in run.steps if record.get(key)]
    found = [_placed(record[key], _compared(record), tasks) for record in records]
    return ([record["step"] for record in records], np.stack(found)) if found else None


def _placed(matrix: Any, own: Sequence[str], tasks: Sequence[str]) -> Floats:
    whole = np.full((len(tasks), len(tasks)), np.nan)
    places = [tasks.index(name) for name in own]
    whole[np.ix_(places, places)] = np.array(matrix, dtype=float)
    return whole


def _groups(run: RunFacts, tasks: Sequence[str]) -> dict[str, Floats]:
    """Return the mean matrix of each group of layers."""
    found: dict[str, list[Floats]] = {}
    for record in run.steps:
        for group, matrix in (record.get("cosines_by_group") or {}).items():
            found.setdefault(group, []).append(_placed(matrix, _compared(record), tasks))
    return {group: _mean(np.stack(each)) for group, each in found.items()}


def _mean(matrices: Floats) -> Floats:
    known = ~np.isnan(matrices)
    sums = np.where(known, matrices, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def _standard_errors(matrices: Floats) -> Floats:
    """Return the standard errors of `_mean`; NaN of fewer than two steps."""
    count = (~np.isnan(matrices)).sum(axis=0)
    squares = np.nansum(np.square(matrices - _mean(matrices)), axis=0)
    return np.sqrt(np.where(count > 1, squares / np.maximum(count * (count - 1), 1), np.nan))


def _pairs(mean: Floats) -> list[tuple[int, int]]:
    """Return all pairs with a value, the lowest first."""
    count = len(mean)
    known = [(i, j) for i in range(count) for j in range(i) if not math.isnan(mean[i, j])]
    return sorted(((j, i) for i, j in known), key=lambda pair: mean[pair])


def _mean_map(tasks: list[str], cosines: Floats) -> Figure:
    mean = _mean(cosines)
    np.fill_diagonal(mean, np.nan)
    pairs = _pairs(mean)
    negative = sum(1 for pair in pairs if mean[pair] < 0)
    lowest = ""
    if pairs:
        i, j = pairs[0]
        lowest = f"; the lowest is {figure(mean[i, j])}, of {tasks[i]} and {tasks[j]}"
    share = _mean(np.where(np.isnan(cosines), np.nan, cosines < 0))
    rows = [(tasks[i], tasks[j], float(mean[i, j]), float(share[i, j])) for i, j in pairs]
    return heat_map(
        "Mean cosine between the gradients of two tasks",
        _lists(mean),
        rows=tasks,
        columns=tasks,
        x="",
        y="",
        text=f"{negative:,} of {len(pairs):,} pairs are below 0 on average{lowest}.",
        table=Table(
            ("task", "other task", "mean cosine", "steps in conflict"), capped(rows), bars=(3,)
        ),
        scale="diverging",
        limits=(-1, 1),
    )


def _pairs_map(tasks: list[str], steps: list[int], cosines: Floats) -> Figure:
    mean = _mean(cosines)
    pairs = _pairs(mean)[:_PAIRS]
    chosen = thinned(len(steps), 120)
    names = _named(tasks, pairs)
    left = len(_pairs(mean)) - len(pairs)
    more = (
        f" The {_PAIRS} pairs with the lowest means; {left:,} more are not shown." if left else ""
    )
    return heat_map(
        "Cosines over time",
        [[cosines[place, i, j] for place in chosen] for i, j in pairs],
        rows=names,
        columns=[steps[place] for place in chosen],
        x="step",
        y="",
        text=f"Cosines at {len(steps)} recorded steps.{more}",
        table=Table(
            ("pair", "first", "mean", "last"),
            [
                (name, float(cosines[0, i, j]), float(mean[i, j]), float(cosines[-1, i, j]))
                for name, (i, j) in zip(names, pairs, strict=True)
            ],
        ),
        scale="diverging",
        limits=(-1, 1),
    )


def _group_map(tasks: list[str], groups: dict[str, Floats]) -> Figure:
    overall = _mean(np.stack(list(groups.values())))
    pairs = _pairs(overall)[:_PAIRS]
    names = _named(tasks, pairs)
    values = [[float(matrix[pair]) for matrix in groups.values()] for pair in pairs]
    columns = {name: [row[at] for row in values] for at, name in enumerate(groups)}
    means = {name: float(_mean(np.array(own))) for name, own in columns.items()}
    lowest = min(means, key=lambda name: (math.isnan(means[name]), means[name]))
    return heat_map(
        "Mean cosine by group of layers",
        values,
        rows=names,
        columns=list(groups),
        x="",
        y="",
        text=f"The mean over these pairs is lowest in {lowest}: {figure(means[lowest])}.",
        table=Table(("pair", *groups), [(n, *row) for n, row in zip(names, values, strict=True)]),
        scale="diverging",
        limits=(-1, 1),
    )


def _affinity_map(tasks: list[str], mean: Floats, errors: Floats) -> Figure:
    shown = mean.copy()
    np.fill_diagonal(shown, np.nan)
    limit = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 1.0
    order = [(i, j) for i in range(len(tasks)) for j in range(len(tasks)) if i != j]
    order = sorted((p for p in order if not math.isnan(shown[p])), key=lambda p: -shown[p])
    rows = [(tasks[i], tasks[j], float(shown[i, j]), float(errors[i, j])) for i, j in order]
    clear = sum(abs(effect) > 2 * error for _, _, effect, error in rows)
    best = f"{rows[0][0]} helps {rows[0][1]} most" if rows and rows[0][2] > 0 else ""
    worst = f"{rows[-1][0]} hurts {rows[-1][1]} most" if rows and rows[-1][2] < 0 else ""
    return heat_map(
        "Affinity: what a step for one task (row) does to the loss of another (column)",
        _lists(shown),
        rows=tasks,
        columns=tasks,
        x="affected task",
        y="",
        text=("; ".join(filter(None, (best, worst))) or "No pair is affected")
        + f". {clear:,} of {counted(len(rows), 'effect')} differ from 0 by more than two standard "
        "errors over the recorded steps.",
        table=Table(("step for", "affects", "affinity", "standard error"), capped(rows)),
        scale="diverging",
        limits=(-limit or -1.0, limit or 1.0),
    )


def _affinity_graph(tasks: list[str], mean: Floats) -> Figure:
    """Draw tasks on a circle, with an arrow for each of the strongest effects."""
    angles = [2 * math.pi * place / len(tasks) - math.pi / 2 for place in range(len(tasks))]
    x, y = [math.cos(a) for a in angles], [-math.sin(a) for a in angles]
    pairs = [
        (i, j)
        for i in range(len(tasks))
        for j in range(len(tasks))
        if i != j and not math.isnan(mean[i, j]) and mean[i, j] != 0
    ]
    pairs = sorted(pairs, key=lambda pair: -abs(mean[pair]))[: 3 * len(tasks)]
    largest = max((abs(mean[pair]) for pair in pairs), default=1.0)
    arrows = [
        {
            "ax": x[i],
            "ay": y[i],
            "axref": "x",
            "ayref": "y",
            "xref": "x",
            "yref": "y",
            "x": x[j],
            "y": y[j],
            "standoff": 14,
            "startstandoff": 12,
            "text": "",
            "showarrow": True,
            "arrowhead": 2,
            "arrowsize": 0.8,
            "arrowwidth": max(1.0, 4 * abs(float(mean[i, j])) / largest),
            "name": "helps" if mean[i, j] > 0 else "hurts",
        }
        for i, j in pairs
    ]
    labels = [said(name) for name in short(tasks, 18).values()]
    nodes: Trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": x,
        "y": y,
        "text": labels,
        "textposition": ["bottom center" if at < 0 else "top center" for at in y],
        "marker": {"size": 14},
        "meta": {"role": "nodes"},
        "hoverinfo": "text",
        "cliponaxis": False,
    }
    hidden = {"visible": False, "range": [-1.5, 1.5]}
    rows = [
        (tasks[i], "helps" if mean[i, j] > 0 else "hurts", tasks[j], float(mean[i, j]))
        for i, j in pairs
    ]
    return Figure(
        "The strongest affinities",
        [nodes],
        f"An arrow leads from the task of a step to the task that it affects; the {len(pairs)} "
        "strongest effects are drawn, and wide arrows are stronger.",
        Table(("step for", "", "task", "affinity"), rows),
        {"xaxis": hidden, "yaxis": {**hidden, "scaleanchor": "x"}, "annotations": arrows},
        420,
    )


def _named(tasks: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    own = short(tasks, 18)
    return [f"{own[tasks[i]]} × {own[tasks[j]]}" for i, j in pairs]


def _lists(matrix: Floats) -> list[list[float]]:
    return [[float(value) for value in row] for row in matrix]
