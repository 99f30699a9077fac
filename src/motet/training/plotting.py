"""Curves of a history as a figure of plotly, which is imported with this module."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from motet.problems import InputError, hint

COLOURS = ("#0072b2", "#d55e00", "#00856b", "#a8508a", "#8a6a00", "#4d4d4d", "#3aa0d8")
"""Hues after Okabe and Ito, which are distinct for colour-blind readers, too."""
_HEIGHT = 260


def plot(
    records: Sequence[Mapping[str, Any]],
    tasks: Iterable[str] | None,
    metrics: Iterable[str] | None,
) -> Figure:
    """Draw curves over epochs; see `motet.training.History.plot`.

    Returns:
        The figure.

    Raises:
        InputError: If no epoch has one of the tasks or metrics.
    """
    known = list(dict.fromkeys(task for record in records for task in record["tasks"]))
    if not known:
        raise InputError("there is no epoch to plot yet; train first")
    names = _named("task", tasks, known)
    there = dict.fromkeys(
        metric for record in records for task in names for metric in record["tasks"].get(task, {})
    )
    shown = _first(records, names)
    if metrics is not None:
        shown = _named("metric", metrics, list(there))
    figure = make_subplots(rows=len(shown), shared_xaxes=True, subplot_titles=shown)
    for row, metric in enumerate(shown, 1):
        for place, task in enumerate(names):
            for split, dash in (("validation", "solid"), ("train", "dot")):
                own = [
                    (record["epoch"], record["tasks"][task].get(metric))
                    for record in records
                    if record["split"] == split and metric in record["tasks"].get(task, {})
                ]
                if own:
                    title = f"{task}, {split}"
                    line = {"color": COLOURS[place % len(COLOURS)], "dash": dash}
                    trace = Scatter(
                        x=[epoch for epoch, _ in own],
                        y=[value for _, value in own],
                        name=title,
                        legendgroup=title,
                        showlegend=all(each.name != title for each in figure.data),
                        mode="lines+markers" if len(own) <= 40 else "lines",
                        line=line,
                    )
                    figure.add_trace(trace, row=row, col=1)
    figure.update_xaxes(title_text="epoch", row=len(shown), col=1)
    figure.update_layout(height=100 + _HEIGHT * len(shown))
    return figure


def _named(kind: str, given: Iterable[str] | None, known: Sequence[str]) -> list[str]:
    names = list(known) if given is None else [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in known:
            raise InputError(f"no epoch has the {kind} {name!r}; {hint(name, known)}")
    if not names:
        raise InputError(f"{kind}s: found none; name some, or leave {kind}s out")
    return names


def _first(records: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> list[str]:
    """Return the loss, and the first metric of each task."""
    found = {"loss": None}
    for record in records:
        for task in tasks if record["split"] == "validation" else ():
            values = record["tasks"].get(task, {})
            found |= dict.fromkeys(list(values)[:1])
    return list(found)
