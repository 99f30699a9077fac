"""What a run reports to people: lines of plain text, for terminals and logs alike."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from motet.config import Member
from motet.data.selection import listed
from motet.data.tallies import lacking_labels
from motet.figures import counted, figure
from motet.model import MultiTaskModel
from motet.model.parameters import adapter_counts
from motet.model.parts import summarised
from motet.options.mappings import epochs_between
from motet.run.auxiliary_lines import auxiliary_rows
from motet.run.commented_yaml import on_one_line
from motet.run.costs import count_costs
from motet.run.few_labels import few_label_notes
from motet.run.frozen_states import storing_lines
from motet.run.judged_lines import judged_rows
from motet.run.label_counts import (
    LabelCounts,
    class_table,
    count_labels,
    share,
    unlabelled,
)
from motet.run.layout import columns, line, titled, wrapped
from motet.run.prepared import AnyPrepared, Part, PreparedSources
from motet.run.process_lines import process_lines
from motet.run.scheduling_lines import scheduling_lines
from motet.run.shortened import MANY, merged
from motet.run.source_lines import source_lines
from motet.run.stream_lines import stream_lines
from motet.run.stream_prepared import PreparedStream
from motet.run.unseen import Unseen
from motet.tasks.listing import main_tasks
from motet.training import EvaluationRecord, Report, Trainer
from motet.training.parameter_groups import parameters_by_rate

_EXTREMES = 8
"""Of many tasks, how many with the lowest and with the highest scores are shown."""


def data_lines(prepared: AnyPrepared) -> Iterator[str]:
    """Report the rows, the inputs with the reason for each, and the labels of tasks and classes."""
    parts = prepared.parts.values()
    for part in parts:
        rows = part.rows
        sizes = ", ".join(f"{count:,} {name}" for name, count in part.counts.items())
        name = f"{rows.name}: " if rows.name else ""
        yield line("data", f"{name}{rows.source.title}: {part.row_count:,} rows: {sizes}")
        lacking = (n for task in part.targets for n in lacking_labels(task, part.tallies))
        yield from (line("", note) for note in (*rows.split.notes, *lacking))
        if isinstance(part, PreparedStream):
            yield from stream_lines(part)
    if isinstance(prepared, PreparedSources):
        yield from source_lines(prepared)
    guesses = {g.column: g for part in parts for g in part.rows.guesses if g.type is not None}
    unused = {g.column: g for part in parts for g in part.rows.guesses if g.column not in guesses}
    if guesses:
        shown = (*guesses.values(), *unused.values())
        found = [(g.column, g.type or "not used", g.reason) for g in shown]
    else:
        chosen = prepared.config.inputs or {}
        found = [(name, member.type, "") for name, member in chosen.items()]
    yield from titled("inputs", columns(list(merged(found, "inputs"))))
    counts = [(part, each) for part in parts for each in count_labels(part)]
    labelled = [_label_row(part, each) for part, each in counts]
    yield from titled("tasks", columns(list(merged(labelled, "tasks"))))
    yield from titled("auxiliary", columns(auxiliary_rows(prepared.config)))
    judged = [row for part in parts for row in judged_rows(part)]
    yield from titled("rows", columns(judged))
    yield from titled("labels", class_table([each for _, each in counts]))
    if len(prepared.config.stages) > 1:
        yield line("balancing", ", then ".join(map(_stage, prepared.config.stages)))
    yield from titled("chosen", columns(list(_chosen(prepared))))
    yield from (line("note", note) for note in _notes(prepared))


def _chosen(prepared: AnyPrepared) -> Iterator[Sequence[str]]:
    """Return what the config left to the data, with the reason for each."""
    parts: Iterable[Part] = prepared.parts.values()
    chosen = next(iter(parts)).rows.chosen
    found = [(f"{each.key}: {on_one_line(each.value)}", each.reason) for each in chosen]
    yield from merged(found, "settings")


def training_lines(prepared: AnyPrepared, trainer: Trainer) -> Iterator[str]:
    """Report how processes share a step, few labels, what is left out, and what is frozen."""
    yield from process_lines(trainer.batch_size)
    yield from (line("note", note) for note in few_label_notes(prepared, trainer))
    yield from scheduling_lines(prepared, trainer)
    yield from storing_lines(prepared, trainer)
    if prepared.config.tuning is not None:
        yield line("note", "`motet tune` searches the ranges of tuning; this run leaves them out")
    rates = parameters_by_rate(trainer.optimizer)
    if len(rates) > 1:
        found = (f"{rate:.3g} ({count:,} parameters)" for rate, count in rates.items())
        yield line("rates", ", ".join(found))
    freezing, model = trainer.freezing, trainer.model
    for counts in adapter_counts(model).values():
        yield line("adapters", ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    if freezing.active:
        sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        frozen = sum(sizes[name] for name in model.frozen)
        yield line("frozen", f"{frozen:,} of {sum(sizes.values()):,} parameters")
        for epoch, names in freezing.plan.items():
            count = sum(sizes[name] for name in names)
            first, *parts = summarised(model, names)
            start = f"{count:,} are trained from epoch {epoch}: {first}"
            yield from wrapped("", [start, *parts])


def model_lines(prepared: AnyPrepared) -> Iterator[str]:
    """Report the model's costs, and those of one model per task with its encoder and heads."""
    costs, sharing = count_costs(prepared), prepared.config.model.sharing.type
    groups = prepared.config.model.sharing.options().get("groups")
    if isinstance(groups, Mapping):
        every = epochs_between(groups)
        after = "each epoch" if every == 1 else f"every {every} epochs"
        text = f"{groups['number']}, found by {groups['by']} after {after}; one until then"
        yield line("groups", text)
    own = [f"{task} {count:,}" for task, count in costs.own.items()]
    yield line("model", f"{sharing} sharing, {costs.parameters:,} parameters")
    if len(own) > MANY:
        low, high = (f(costs.own.items(), key=lambda each: each[1]) for f in (min, max))
        total = sum(costs.own.values())
        own = [f"{len(own)} tasks {total:,}, from {low[1]:,} ({low[0]}) to {high[1]:,} ({high[0]})"]
    yield from wrapped("", [f"shared {costs.shared:,}; {own[0]}", *own[1:]])
    per = "row" if len(prepared.parts) == 1 else "row of each source"
    yield line("", f"{costs.multiply_adds:,.0f} multiply-adds per {per}")
    if costs.single_models > 1 and costs.single_parameters:
        size = costs.parameters / costs.single_parameters
        text = f"{costs.single_models} single-task models together: {size:.2f} x their parameters"
        if costs.single_multiply_adds:  # none of members that multiply in ways of their own
            work = costs.multiply_adds / costs.single_multiply_adds
            text += f", {work:.2f} x their multiply-adds"
        yield line("", text)


def epoch_lines(record: EvaluationRecord, epochs: int) -> Iterator[str]:
    """Report how each task does on the validation rows; * marks the best epoch so far.

    Returns:
        The first metric of each task; of many tasks, its lowest, median and highest value.
    """
    notes = record.notes or {}
    firsts = []
    for name, values in record.tasks.items():
        metric, value = next(iter(values.items()))
        firsts.append(_First(name, metric, value, notes))
    found = list(_summaries(firsts)) if len(firsts) > MANY else list(map(str, firsts))
    score = f"score {figure(record.score)}{' *' if record.best else ''}"
    count = f"{record.epoch:>{len(str(epochs))}}/{epochs}"
    return wrapped("epoch", [count, *found, score, f"{record.seconds:.1f} s"], "  ")


def report_lines(model: MultiTaskModel, report: Report) -> Iterator[str]:
    """Show every metric next to that of a predictor that ignores the inputs.

    Of many tasks, it shows the first metric of those with the lowest and the highest scores.

    Yields:
        Lines.
    """
    heads = ("task", "metric", "model", "trivial", "score", "rows")
    names = list(report.scores)
    if report.fusion:
        weights = [f"{name} {figure(value)}" for name, value in report.fusion.items()]
        yield from wrapped("fusion", [f"mean weights: {weights[0]}", *weights[1:]], ", ")
    if len(names) <= MANY:
        yield from columns([heads, *_metric_rows(report, names)], right=(2, 3, 4, 5))
    else:
        scored = [name for name in names if not math.isnan(report.scores[name])]
        scored.sort(key=lambda name: report.scores[name])
        low, high = scored[:_EXTREMES], scored[_EXTREMES:][-_EXTREMES:]
        left = len(names) - len(low) - len(high)
        between = (f"({left} more)", "", "", "", "", "")
        rows = [*_metric_rows(report, low, 1), between, *_metric_rows(report, high, 1)]
        yield from columns([heads, *rows], right=(2, 3, 4, 5))
        yield "by score; all metrics of some: motet evaluate RUN ROWS --tasks NAME,NAME"
    yield _mean_line(model, report)
    for key, note in report.notes.items():
        yield f"note: {key}: {note}"


def _metric_rows(
    report: Report, names: Iterable[str], most: int | None = None
) -> Iterator[Sequence[str]]:
    """Yield the rows of tasks in a report: the first ``most`` metrics of each."""
    for name in names:
        values = report[name]
        metrics = [metric for metric in values if metric not in ("loss", "count")]
        for place, metric in enumerate(metrics[:most]):
            first = place == 0
            yield (
                name if first else "",
                metric,
                figure(values[metric]),
                figure(report.trivial[name].get(metric, math.nan)),
                figure(report.scores[name]) if first else "",
                f"{values['count']:,}" if first else "",
            )


def _mean_line(model: MultiTaskModel, report: Report) -> str:
    names = main_tasks(model.tasks[name] for name in report.scores)
    left = [name for name in names if math.isnan(report.scores[name])]
    kind = "main task" if len(names) < len(report.scores) else "task"
    over = counted(len(names), kind)
    if left:
        over = f"{len(names) - len(left)} of {over} (no score: {listed(left)})"
    meaning = "0: a predictor that ignores the inputs, 1: perfect"
    return f"mean score {figure(report['score'])} over {over} ({meaning})"


@dataclass(frozen=True)
class _First:
    """The first metric of a task, and why it is NaN, if it is."""

    task: str
    metric: str
    value: float
    notes: Mapping[str, str]

    @property
    def reason(self) -> str:
        note = self.notes.get(f"{self.task}.{self.metric}", "")
        return f" ({note})" if note and math.isnan(self.value) else ""

    def __str__(self) -> str:
        return f"{self.task} {self.metric} {figure(self.value)}{self.reason}"


def _summaries(firsts: Sequence[_First]) -> Iterator[str]:
    """Summarise the metrics of many tasks, metric by metric."""
    for metric in dict.fromkeys(each.metric for each in firsts):
        own = [each for each in firsts if each.metric == metric]
        known = sorted((e for e in own if not math.isnan(e.value)), key=lambda each: each.value)
        parts = []
        if known:
            low, high = known[0], known[-1]
            parts = [
                f"lowest {figure(low.value)} ({low.task})",
                f"median {figure(median(each.value for each in known))}",
                f"highest {figure(high.value)} ({high.task})",
            ]
        if len(known) < len(own):
            lacking = listed(f"{e.task}{e.reason}" for e in own if math.isnan(e.value))
            parts.append(f"nan {lacking}")
        yield f"{metric} of {counted(len(own), 'task')}: {', '.join(parts)}"


def _stage(stage: Member) -> str:
    until = getattr(stage, "until", None)
    return stage.type if until is None else f"{stage.type} until epoch {until}"


def _label_row(prepared: Part, counts: LabelCounts) -> Sequence[str]:
    sizes = prepared.counts
    found = (f"{n:,} {part} ({share(n, sizes[part])})" for part, n in counts.rows.items())
    what = prepared.preprocessing.target(counts.task).summary
    type_ = prepared.config.tasks[counts.task].type
    return counts.task, type_, what, "labelled: " + ", ".join(found)


def _notes(prepared: AnyPrepared) -> Iterator[str]:
    yield from prepared.notes
    for name, part in prepared.parts.items():
        own = _notes_on(part) if part is prepared else (*part.notes, *_notes_on(part))
        yield from (f"source {name!r}: {note}" if name else note for note in own)


def _notes_on(prepared: Part) -> Iterator[str]:
    bare = unlabelled(prepared)
    if bare:
        parts = ", ".join(f"{count:,} {part}" for part, count in bare.items())
        yield f"{sum(bare.values()):,} rows have no label of any task: {parts}"
    if isinstance(prepared, PreparedStream):
        return  # they are among its notes
    name_row = prepared.rows.source.row_name
    for name in prepared.rows.tasks:
        judged = prepared.preprocessing.judged(name, prepared.rows.table)
        unseen = Unseen()
        unseen.add(prepared.preprocessing.target(name), judged, name_row)
        if unseen.note:
            yield f"task {name!r}: {unseen.note}"
