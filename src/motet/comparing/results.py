"""The outcome of a comparison: its table, and ``results.json`` and ``results.parquet``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from motet.analysis import Interval
from motet.comparing import suggesting
from motet.comparing.suggesting import Suggestion
from motet.comparing.summary import MethodResult, TaskMetric
from motet.figures import counted, figure, percent
from motet.run import folder
from motet.run.layout import columns, line
from motet.run.reporting import write_report
from motet.writing import replacing

RESULTS = "results.json"
TABLE = "results.parquet"
MANY = 12
"""Tasks above which the printed table has the verdicts of each method as counts."""
CONVENTION = (
    "Delta_m: mean over tasks of the change of each task's first metric relative to {baseline}, in "
    "%; positive is better; computed for each {unit}, and then averaged"
)
GUARANTEE = (
    "verdicts: paired t tests over {count} {unit}s, adjusted for all {tests} of them (Holm), so "
    "that the chance of any false verdict is at most {error}, where differences are normal"
)
OF_SEEDS = (
    "intervals are over seeds on one split: how much other rows would change the figures, they do "
    "not show"
)
OF_FOLDS = (
    "folds share training rows, so their intervals are somewhat too narrow (Bengio and Grandvalet, "
    "JMLR 2004)"
)


@dataclass(frozen=True)
class Ran:
    """What one method did beside its scores."""

    what: str
    """What it is, in words."""
    steps: float
    """Steps of all its models, mean over repetitions."""
    seconds: float
    """Of all its models, one after the other, mean over repetitions."""
    memory: int | None
    """Peak in bytes of its largest model."""
    search_seconds: float
    """Of choosing its candidate, in all; 0 without."""
    chosen: Mapping[str, Sequence[str]]
    """The overrides that were chosen on validation rows, by model and repetition."""


@dataclass(frozen=True)
class Comparison:
    """A finished comparison; made by `motet.compare`. ``print`` shows it as a table."""

    path: Path
    """The folder of the comparison."""
    unit: str
    """What repetitions are: "seed" or "fold"."""
    repeats: tuple[int, ...]
    """The seeds, or the numbers of the folds."""
    baseline: str
    """The method that others are compared with."""
    metrics: Mapping[str, TaskMetric]
    """The first metric of each task that was compared."""
    methods: Mapping[str, MethodResult]
    """The result of each method."""
    ran: Mapping[str, Ran]
    """What each method is, and took."""
    failed: Mapping[str, str]
    """Methods without a result, and why."""
    best: str | None
    """The method with the best mean score on validation rows, chosen before test rows were read."""
    notes: tuple[str, ...]
    error: float = 0.05
    """Error rate of verdicts."""
    suggestion: Suggestion | None = None
    """What to deploy, if that was asked."""

    @property
    def table(self) -> pa.Table:
        """Every metric on the test rows: columns task, method, seed or fold, metric, value."""
        return pq.read_table(self.path / TABLE)

    @property
    def convention(self) -> str:
        """How Delta_m is computed, in words."""
        return CONVENTION.format(baseline=self.baseline, unit=self.unit)

    @property
    def guarantee(self) -> str | None:
        """What verdicts are, and how often they are wrong, in words; None without verdicts."""
        verdicts = [each.verdict for own in self.methods.values() for each in own.tasks.values()]
        tests, count = sum(each is not None for each in verdicts), len(self.repeats)
        if not tests:
            return None
        return GUARANTEE.format(count=count, unit=self.unit, tests=tests, error=percent(self.error))

    def report(self, path: str | Path | None = None) -> Path:
        """Write a report: one HTML page, which needs no network.

        Args:
            path: The file, which must not exist; ``report.html`` in the folder of the comparison,
                in place of an earlier one, if left out.

        Returns:
            Path of the file.

        Raises:
            InputError: If the file cannot be written.
        """
        return write_report([self.path], path)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table."""
        yield from columns(list(self._task_rows()), right=(3, 5, 6))
        yield ""
        yield from columns(list(self._method_rows()), right=(1, 3, 4, 5, 6))
        yield ""
        yield from columns(list(self._what_rows()))
        yield ""
        for method, why in self.failed.items():
            yield line("failed", f"{method}: {why}")
        if self.best is not None:
            yield line("best", f"{self.best}, by the mean score on validation rows")
        stated = filter(None, (self.convention, self.guarantee))
        yield from (line("note", note) for note in (*stated, *self.notes))
        if self.suggestion is not None:
            yield ""
            yield from self.suggestion.lines(self.metrics)
            if self.suggestion.choice.shared:
                yield line("config", f"{self.path / suggesting.CONFIG}, of the shared model")

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    def _what_rows(self) -> Iterator[Sequence[str]]:
        for method, ran in self.ran.items():
            yield method, ran.what
            for model, overrides in ran.chosen.items():
                yield "", f"{model}: {', '.join(overrides)}"

    def _task_rows(self) -> Iterator[Sequence[str]]:
        yield ("task", "metric", "method", "mean", "95 % interval", "change", "p", "verdict")
        if len(self.metrics) > MANY:
            yield from self._counts()
            return
        for task, metric in self.metrics.items():
            arrow = "higher" if metric.higher else "lower"
            first = (task, f"{metric.name} ({arrow} is better)")
            for method, result in self.methods.items():
                found = result.tasks[task]
                yield (
                    *first,
                    method,
                    figure(found.mean),
                    _ends(found.low, found.high),
                    "" if isnan(found.delta) else f"{found.delta:+.2f} %",
                    "" if isnan(found.p) else _p(found.p),
                    found.verdict or "",
                )
                first = ("", "")

    def _counts(self) -> Iterator[Sequence[str]]:
        for method, result in self.methods.items():
            verdicts = [each.verdict for each in result.tasks.values()]
            counts = {each: verdicts.count(each) for each in dict.fromkeys(verdicts) if each}
            text = ", ".join(f"{each}: {counted(count, 'task')}" for each, count in counts.items())
            yield (counted(len(self.metrics), "task"), "", method, "", "", "", "", text)

    def _method_rows(self) -> Iterator[Sequence[str]]:
        second = any(each.delta_m_equal_compute for each in self.methods.values())
        heads = ["method", "Delta_m", "95 % interval", "mean rank", "steps", "seconds", "memory"]
        yield (*heads, "Delta_m at equal compute" if second else "")
        for method, result in self.methods.items():
            ran = self.ran[method]
            search = f" + {ran.search_seconds:.0f} search" if ran.search_seconds else ""
            yield (
                method,
                *_change(result.delta_m),
                figure(result.rank),
                f"{ran.steps:,.0f}",
                f"{ran.seconds:.1f}{search}",
                "" if ran.memory is None else f"{ran.memory / 1e6:,.0f} MB",
                " ".join(_change(result.delta_m_equal_compute)).strip(),
            )

    def save(self) -> None:
        """Write ``results.json``."""
        folder.write_json(self.path / RESULTS, folder.finite(self.as_dict()))

    def as_dict(self) -> dict[str, Any]:
        """Return what ``results.json`` holds; None for what is not known."""
        return {
            "baseline": self.baseline,
            "unit": self.unit,
            "repeats": list(self.repeats),
            "error": self.error,
            "convention": self.convention,
            "guarantee": self.guarantee,
            "metrics": {task: asdict(metric) for task, metric in self.metrics.items()},
            "methods": {
                name: {**asdict(self.ran[name]), **asdict(result)}
                for name, result in self.methods.items()
            },
            "failed": dict(self.failed),
            "best": self.best,
            "notes": list(self.notes),
            "suggestion": None if self.suggestion is None else self.suggestion.as_dict(),
        }


def write_scores(
    path: Path, unit: str, scores: Mapping[tuple[str, int], Mapping[str, Mapping[str, float]]]
) -> None:
    """Write ``results.parquet``.

    Args:
        path: The folder of the comparison.
        unit: What repetitions are, the name of their column.
        scores: Metrics by task, of each method and repetition.
    """
    rows = [
        (task, method, number, metric, float(value))
        for (method, number), tasks in scores.items()
        for task, values in tasks.items()
        for metric, value in values.items()
    ]
    fields = {
        "task": pa.string(),
        "method": pa.string(),
        unit: pa.int64(),
        "metric": pa.string(),
        "value": pa.float64(),
    }
    table = pa.table(
        {
            name: pa.array([row[place] for row in rows], kind)
            for place, (name, kind) in enumerate(fields.items())
        }
    )
    with replacing(path / TABLE) as file:
        pq.write_table(table, file)


def _change(found: Interval | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    return f"{found.mean:+.2f} %", _ends(found.low, found.high, "+.2f")


def _ends(low: float, high: float, form: str = "") -> str:
    if isnan(low):
        return ""
    return f"{low:{form}} to {high:{form}}" if form else f"{figure(low)} to {figure(high)}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
