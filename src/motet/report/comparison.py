"""A comparison of methods: what each does to each task, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from motet.figures import figure
from motet.report.elements import (
    Element,
    Figure,
    Lines,
    Panel,
    Section,
    Table,
    Tiles,
    Titled,
    Trace,
    said,
)
from motet.report.marks import heat_map
from motet.report.short_names import short
from motet.report.suggestion import suggestion

Results = Mapping[str, Any]
"""The content of ``results.json`` of a comparison."""
_MANY = 8
"""Tasks above which the changes of all tasks are a heat map, too."""


def comparison(results: Results) -> list[Section]:
    """Return the sections of a comparison."""
    methods, tasks = results["methods"], list(results["metrics"])
    baseline = results["baseline"]
    others = [name for name in methods if name != baseline]
    first: list[Element] = [
        Tiles(
            {
                "methods": str(len(methods)),
                "tasks": str(len(tasks)),
                f"{results['unit']}s": str(len(results["repeats"])),
                "baseline": baseline,
                **({"best on validation rows": results["best"]} if results["best"] else {}),
            }
        ),
        Titled("Methods", _method_table(results)),
    ]
    if any(methods[name]["delta_m"] for name in others):
        first.append(_delta_m(results, others))
    failed = [f"{name} failed: {why}" for name, why in results["failed"].items()]
    stated = filter(None, (results["convention"], results["guarantee"]))
    first.append(Lines([*stated, *results["notes"], *failed], "Notes"))
    second: list[Element] = []
    if len(tasks) > _MANY:
        second.append(_map(results, others, tasks))
    second += [
        Panel(task, results["metrics"][task]["name"], [_forest(results, others, task)])
        for task in tasks
    ]
    suggested = results["suggestion"]
    return [
        Section("Summary", first, " ".join(_verdicts(results, others))),
        *([suggestion(suggested, results["metrics"])] if suggested else []),
        Section("Tasks", [*second, Titled("Tests", _task_table(results))]),
    ]


def lowest_changes(results: Results) -> dict[str, float | None]:
    """Return the lowest change of each task by any method in %; None where there is none."""
    found = {}
    for task in results["metrics"]:
        changes = (method["tasks"][task]["delta"] for method in results["methods"].values())
        found[task] = min((each for each in changes if each is not None), default=None)
    return found


def _verdicts(results: Results, others: Sequence[str]) -> Iterator[str]:
    for name in others:
        found = [each["verdict"] for each in results["methods"][name]["tasks"].values()]
        counts = {verdict: found.count(verdict) for verdict in dict.fromkeys(found) if verdict}
        if counts:
            listed = ", ".join(f"{verdict} on {count}" for verdict, count in counts.items())
            yield f"{name}: {listed}."


def _method_table(results: Results) -> Table:
    rows = []
    for name, method in results["methods"].items():
        delta, memory = method["delta_m"] or {}, method["memory"]
        rows.append(
            (
                name,
                method["what"],
                delta.get("mean"),
                _ends(delta.get("low"), delta.get("high")),
                method["rank"],
                method["steps"],
                method["seconds"],
                None if memory is None else f"{memory / 1e6:,.0f} MB",
            )
        )
    head = ("method", "what it is", "Δm in %", "95 % interval", "mean rank", "steps", "seconds")
    return Table((*head, "memory"), rows)


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{figure(low)} to {figure(high)}"


def _intervals(
    title: str, names: Sequence[str], values: Sequence[Any], x: str, text: str, table: Table
) -> Figure:
    """Draw a forest plot: a mean and an interval for each name, and a line at 0.

    Args:
        title: What the figure shows.
        names: Names of the rows.
        values: (mean, low, high) of each, None where unknown.
        x: Title of the axis.
        text: The figure in a sentence.
        table: Its numbers.

    Returns:
        The figure.
    """
    means = [mean for mean, *_ in values]
    known = [[m if end is None else end for end in (low, high)] for m, low, high in values]
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": means,
        "y": [said(name) for name in short(names).values()],
        "marker": {"size": 9},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [None if m is None else h - m for m, (_, h) in zip(means, known, strict=True)],
            "arrayminus": [
                None if m is None else m - low for m, (low, _) in zip(means, known, strict=True)
            ],
            "thickness": 2,
            "width": 5,
        },
        "showlegend": False,
        "meta": {"role": "series"},
        "hovertemplate": "%{y}: %{x:.3g}<extra></extra>",
    }
    return Figure(
        title,
        [trace],
        text,
        table,
        {
            "xaxis": {"title": {"text": said(x)}},
            "yaxis": {"type": "category", "autorange": "reversed"},
            "shapes": [{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}],
        },
        max(220, 130 + 26 * len(names)),
    )


def _delta_m(results: Results, others: Sequence[str]) -> Figure:
    found = {name: results["methods"][name]["delta_m"] or {} for name in others}
    values = [(each.get("mean"), each.get("low"), each.get("high")) for each in found.values()]
    known = {name: each["mean"] for name, each in found.items() if each.get("mean") is not None}
    best = max(known, key=known.__getitem__, default="")
    text = f"Highest: {best}, {known[best]:+.2f} %." if best else "No method has a mean change."
    rows = [(name, *each) for name, each in zip(others, values, strict=True)]
    return _intervals(
        f"Mean change from {results['baseline']}",
        others,
        values,
        "Δm in %, positive is better",
        text,
        Table(("method", "Δm in %", "low", "high"), rows),
    )


def _forest(results: Results, others: Sequence[str], task: str) -> Figure:
    found = {name: results["methods"][name]["tasks"][task] for name in others}
    values = [
        (each["difference"], each["difference_low"], each["difference_high"])
        for each in found.values()
    ]
    verdicts = ", ".join(
        f"{name}: {each['verdict'] or 'no verdict'}" for name, each in found.items()
    )
    rows = [(name, *each) for name, each in zip(others, values, strict=True)]
    metric = results["metrics"][task]["name"]
    return _intervals(
        f"Difference in {metric}",
        others,
        values,
        f"difference in {metric}, positive is better",
        f"Difference from {results['baseline']} with its 95 % interval. {verdicts}.",
        Table(("method", f"difference in {metric}", "low", "high"), rows),
    )


def _map(results: Results, others: Sequence[str], tasks: Sequence[str]) -> Figure:
    values = [[results["methods"][n]["tasks"][task]["delta"] for n in others] for task in tasks]
    limit = max((abs(v) for row in values for v in row if v is not None), default=1.0)
    table = Table(("task", *others), [(t, *v) for t, v in zip(tasks, values, strict=True)], tasks)
    return heat_map(
        "Change of each task in %",
        values,
        rows=tasks,
        columns=list(others),
        x="method",
        y="",
        text=f"Change from {results['baseline']}, relative to it; positive is better.",
        table=table,
        scale="diverging",
        limits=(-limit or -1.0, limit or 1.0),
        what="%",
        wide=True,
    )


def _task_table(results: Results) -> Table:
    rows, tasks = [], []
    for task, metric in results["metrics"].items():
        for name, method in results["methods"].items():
            found = method["tasks"][task]
            rows.append(
                (
                    task,
                    f"{metric['name']} ({'higher' if metric['higher'] else 'lower'} is better)",
                    name,
                    found["mean"],
                    _ends(found["low"], found["high"]),
                    found["delta"],
                    found["p"],
                    found["verdict"],
                )
            )
            tasks.append(task)
    head = ("task", "metric", "method", "mean", "95 % interval", "change in %", "p", "verdict")
    return Table(head, rows, tasks)
