"""What a run says to people: lines of plain text, for terminals and logs alike."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.config import Member
from motet.data.selection import listed
from motet.data.targets.base import Target
from motet.data.targets.classes import MISSING
from motet.model import MultiTaskModel
from motet.model.parts import summarised
from motet.run.costs import count_costs
from motet.run.preparing import Prepared
from motet.training import Report, Trainer
from motet.training.optimizers import told_rates

_PARTS = ("train", "validation", "test")


def data_lines(prepared: Prepared) -> Iterator[str]:
    """Say what rows there are, which inputs are used and why, and how many labels each task has."""
    rows = prepared.rows
    counts = {part: len(getattr(rows.split, part)) for part in _PARTS}
    parts = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    source = prepared.config.data.source or "data from Python"
    source = source if isinstance(source, str) else ", ".join(source)
    source = source if isinstance(source, str) else listed(source)
    yield _line("data", f"{source}: {len(rows.table):,} rows: {parts}")
    yield from (_line("", note) for note in rows.split.notes)
    chosen = {name: member.type for name, member in (prepared.config.inputs or {}).items()}
    if rows.guesses:
        found = [(g.column, g.type or "not used", g.reason) for g in rows.guesses]
        yield from _titled("inputs", _table(found))
    else:
        yield from _titled("inputs", _table(list(chosen.items())))
    yield from _titled("tasks", _table(list(_label_counts(prepared))))
    if len(prepared.config.stages) > 1:
        yield _line("balancing", ", then ".join(map(_stage, prepared.config.stages)))
    yield from (_line("note", note) for note in _notes(prepared))


def training_lines(trainer: Trainer) -> Iterator[str]:
    """Say which parameters have which learning rate, if they differ, and what is frozen."""
    rates = told_rates(trainer.optimizer)
    if len(rates) > 1:
        found = (f"{rate:.3g} ({count:,} parameters)" for rate, count in rates.items())
        yield _line("rates", ", ".join(found))
    freezing, model = trainer.freezing, trainer.model
    if freezing.active:
        sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        frozen = sum(sizes[name] for name in model.frozen)
        yield _line("frozen", f"{frozen:,} of {sum(sizes.values()):,} parameters")
        for epoch, names in freezing.plan.items():
            count = sum(sizes[name] for name in names)
            parts = ", ".join(summarised(model, names))
            yield _line("", f"{count:,} are trained from epoch {epoch}: {parts}")


def model_lines(prepared: Prepared) -> Iterator[str]:
    """Say what the model costs, beside one model per task with the same encoder and heads."""
    costs, sharing = count_costs(prepared), prepared.config.model.sharing.type
    own = ", ".join(f"{task} {count:,}" for task, count in costs.own.items())
    yield _line("model", f"{sharing} sharing, {costs.parameters:,} parameters")
    yield _line("", f"shared {costs.shared:,}; {own}")
    yield _line("", f"{costs.multiply_adds:,.0f} multiply-adds per row")
    if len(costs.own) > 1:
        size = costs.parameters / costs.single_parameters
        work = costs.multiply_adds / costs.single_multiply_adds
        yield _line(
            "",
            f"{len(costs.own)} single-task models together: {size:.2f} x their parameters, "
            f"{work:.2f} x their multiply-adds",
        )


def epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    """Say in one line how each task does on the validation part; * marks the best so far."""
    tasks = []
    for name, values in record["tasks"].items():
        metric = next(iter(values))
        tasks.append(f"{name} {metric} {_number(values[metric])}")
    score = f"score {_number(record['score'])}{' *' if record['best'] else ''}"
    count = f"{record['epoch']:>{len(str(epochs))}}/{epochs}"
    return _line("epoch", "  ".join([count, *tasks, score, f"{record['seconds']:.1f} s"]))


def report_lines(model: MultiTaskModel, report: Report) -> Iterator[str]:
    """Show every metric beside that of a predictor that ignores the inputs."""
    rows: list[Sequence[str]] = [("task", "metric", "model", "trivial", "score", "rows")]
    for name in report.scores:
        values = report[name]
        metrics = [metric for metric in values if metric not in ("loss", "count")]
        for place, metric in enumerate(metrics):
            first = place == 0
            rows.append(
                (
                    name if first else "",
                    metric,
                    _number(values[metric]),
                    _number(report.trivial[name].get(metric, math.nan)),
                    _number(report.scores[name]) if first else "",
                    f"{values['count']:,}" if first else "",
                )
            )
    yield from _table(rows, right=(2, 3, 4, 5))
    mean = _number(report["score"])
    yield f"mean score {mean} (0: a predictor that ignores the inputs, 1: perfect)"
    for key, note in report.notes.items():
        yield f"note: {key}: {note}"


def _stage(stage: Member) -> str:
    until = getattr(stage, "until", None)
    return stage.type if until is None else f"{stage.type} until epoch {until}"


def _label_counts(prepared: Prepared) -> Iterator[Sequence[str]]:
    for name, member in prepared.config.tasks.items():
        target = prepared.preprocessing.target(name)
        known = labelled(prepared.targets[name])
        counts = []
        for part in _PARTS:
            rows = getattr(prepared.rows.split, part)
            if len(rows):
                count = int(known[rows].sum())
                counts.append(f"{count:,} {part} ({count / len(rows):.0%})")
        names = getattr(target, "names", ())
        what = f"{len(names)} classes" if names else "number"
        yield name, member.type, what, "labelled: " + ", ".join(counts)


def labelled(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows have a label."""
    known = ~np.isnan(targets) if targets.dtype.kind == "f" else targets != MISSING
    rows: NDArray[np.bool_] = known.reshape(len(known), -1).any(axis=1)
    return rows


def _notes(prepared: Prepared) -> Iterator[str]:
    yield from prepared.preprocessing.notes
    for name in prepared.config.tasks:
        note = unseen_note(prepared.preprocessing.target(name), prepared.rows.table)
        if note:
            yield f"task {name!r}: {note}"


def unseen_note(target: Target, table: pa.Table) -> str:
    """Say which labels of a table training did not have; nothing if it had all."""
    unseen = target.unseen(table)
    if not unseen:
        return ""
    rows = {value: target.first_row(table, value) for value in unseen}
    found = listed(
        f"{value!r} ({count:,}{'' if rows[value] is None else f', first in row {rows[value]:,}'})"
        for value, count in unseen.items()
    )
    return f"labels that the training part does not have count as missing: {found}"


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "nan"
    if abs(value) < 1000:
        return f"{round(value, 4) + 0.0:.4f}"  # no -0.0000
    return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.4g}"


def _table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield _line(title, line)
        title = ""


def _line(title: str, text: str) -> str:
    return f"{title:<10} {text}"
