"""What to deploy: one model of all tasks where it is good enough, single-task models elsewhere.

The choice is made on validation rows, and written down before test rows are read:

1. Of the methods that train one model of all tasks, the one with the best mean score. Distillation
   and groups of tasks are among them; a model with groups has an encoder for each, and a task that
   is alone in its group shares nothing.
2. A task that this model does worse than its single-task model, by more than half the margin in the
   mean over repetitions, gets the latter. If fewer than two tasks are left, all tasks do.

Then each task of the shared model is tested once on the test rows, against its single-task model of
the same repetition: that it is not worse by the margin or more. Accuracies are tested row by row,
other metrics by a jackknife over groups of rows (`motet.analysis.margins`), and Holm's adjustment
covers all tasks. The test is about these two models on rows like these, whatever chose them. With
folds the choice is made on the validation rows of the first alone, as those of others are test rows
of the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isnan
from statistics import mean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from motet.analysis import NotWorse, holm, not_worse, not_worse_by_groups
from motet.comparing.methods import SINGLE, Method, Unit
from motet.comparing.reading import validated_metrics, validation_of
from motet.comparing.runs import Runs
from motet.comparing.summary import TaskMetric
from motet.figures import figure
from motet.problems import InputError
from motet.run import folder, load
from motet.run.layout import line
from motet.run.scoring import Scored, scored

Verdict = Literal["not worse", "cannot tell"]
CONFIG = "suggested.yaml"
"""The config of the model that several tasks share; none where single-task models serve all."""


@dataclass(frozen=True)
class Levels:
    """The margin and the error rate of tests."""

    margin: float
    """By how much a task may be worse."""
    error: float
    """The chance that a test finds a task not worse which is worse by the margin or more."""


@dataclass(frozen=True)
class Choice:
    """What is deployed, chosen on validation rows."""

    method: str
    """The method whose model serves the tasks of ``shared``."""
    shared: Sequence[str]
    """Tasks that it serves; none where single-task models serve all."""
    single: Sequence[str]
    """Tasks that single-task models serve."""
    validation: Mapping[str, tuple[float, float]]
    """By task, the mean metric on validation rows of the shared model, and of single-task ones."""


@dataclass(frozen=True)
class Tested:
    """The test of one task on the test rows."""

    difference: float
    """The shared model minus the single-task model, in the unit of the metric; positive is
    better."""
    bound: float
    """The difference is at least this, at the error rate of all tests together."""
    margin: float
    """The margin in the unit of the metric."""
    p: float
    """Adjusted by Holm's method for all tasks."""
    rows: int
    verdict: Verdict


@dataclass(frozen=True)
class Suggestion:
    """What to deploy, and what the test rows show of it."""

    choice: Choice
    runs: Mapping[str, str]
    """By task, the folder of the run that serves it, in the comparison's folder."""
    tests: Mapping[str, Tested]
    """By task of the shared model."""
    levels: Levels

    def lines(self, metrics: Mapping[str, TaskMetric]) -> Iterator[str]:
        """Yield its lines."""
        choice = self.choice
        if not choice.shared:
            yield line("suggest", "single-task models for all tasks: none gains by sharing")
        else:
            also = f"; single-task models for {', '.join(choice.single)}" if choice.single else ""
            yield line("suggest", f"{choice.method} for {', '.join(choice.shared)}{also}")
        for path in dict.fromkeys(self.runs.values()):
            tasks = [task for task, own in self.runs.items() if own == path]
            yield line("deploy", f"{path}: {', '.join(tasks)}")
        rate = f"{self.levels.error:.0%}"
        for task, found in self.tests.items():
            unit = metrics[task].name
            seen = (
                f"difference {found.difference:+.4f}, at least {found.bound:+.4f}, "
                f"{found.rows:,} test rows"
            )
            if found.verdict == "not worse":
                yield line(
                    "tested",
                    f"{task}: not worse than single-task by more than {figure(found.margin)} "
                    f"{unit} at error rate {rate} ({seen})",
                )
            else:
                yield line("tested", f"{task}: cannot tell with these rows ({seen})")

    def as_dict(self) -> dict[str, Any]:
        """Return what ``results.json`` holds."""
        return asdict(self)


def check_levels(margin: float, error: float) -> None:
    """Check the margin and the error rate.

    Raises:
        InputError: If one does not fit.
    """
    if not 0 < margin < 1:
        raise InputError(f"found {margin!r}; expected a number between 0 and 1", option="margin")
    if not 0 < error < 0.5:
        raise InputError(f"found {error!r}; expected a number between 0 and 0.5", option="error")


def choose(
    methods: Sequence[Method],
    metrics: Mapping[str, TaskMetric],
    runs: Runs,
    levels: Levels,
) -> Choice:
    """Choose what to deploy, on validation rows.

    Args:
        methods: The methods that have results.
        metrics: The metric of each task.
        runs: Their runs.
        levels: The margin.

    Returns:
        The choice.
    """
    whole = [method for method in methods if method.models is None]
    units = runs.deciding(runs.units[0])

    def score(method: Method) -> float:
        found = mean(validated_score(method, runs, unit) for unit in units)
        return -inf if isnan(found) else found

    chosen = max(whole, key=score)
    single = _named(methods, SINGLE)
    values = {
        task: tuple(
            mean(_validated(method, task, metric, runs, unit) for unit in units)
            for method in (chosen, single)
        )
        for task, metric in metrics.items()
    }
    shared = []
    for task, (ours, alone) in values.items():
        gain = ours - alone if metrics[task].higher else alone - ours
        if gain >= -_margin(metrics[task], alone, levels.margin) / 2:
            shared.append(task)
    if len(shared) < 2:
        shared = []
    rest = [task for task in metrics if task not in shared]
    return Choice(chosen.name, shared, rest, values)  # type: ignore[arg-type]  # pairs


def write_config(choice: Choice, methods: Sequence[Method], runs: Runs) -> None:
    """Write the config of the model that is chosen, ready to train again."""
    if choice.shared:
        (run,) = runs.finals(_named(methods, choice.method), runs.units[0])
        text = (run / folder.CONFIG).read_text(encoding="utf-8")
        folder.write_text(runs.path / CONFIG, text)


def test(
    choice: Choice,
    methods: Sequence[Method],
    metrics: Mapping[str, TaskMetric],
    runs: Runs,
    levels: Levels,
) -> Suggestion:
    """Test a choice on the test rows, with the models of the first repetition.

    Args:
        choice: What was chosen.
        methods: The methods that have results.
        metrics: The metric of each task.
        runs: Their runs.
        levels: The margin and the error rate.

    Returns:
        The suggestion.
    """
    unit = runs.units[0]
    table = runs.test_rows(unit)
    (shared,) = runs.finals(_named(methods, choice.method), unit)
    alone = dict(zip(metrics, runs.finals(_named(methods, SINGLE), unit), strict=True))
    tested, margins = {}, {}
    count = max(len(choice.shared), 1)
    ours = scored(load(shared), table, choice.shared) if choice.shared else {}
    for task in choice.shared:
        theirs = scored(load(alone[task]), table, [task])[task]
        value = theirs.on(np.arange(len(theirs)))
        margins[task] = _margin(metrics[task], value, levels.margin)
        tested[task] = _tested(
            ours[task], theirs, metrics[task], margins[task], levels.error / count
        )
    adjusted = holm({task: found.p_value for task, found in tested.items()})
    tests = {
        task: Tested(
            found.difference,
            found.bound,
            margins[task],
            adjusted[task],
            len(ours[task]),
            "not worse" if adjusted[task] <= levels.error else "cannot tell",
        )
        for task, found in tested.items()
    }
    folders = {task: shared if task in choice.shared else alone[task] for task in metrics}
    places = {task: str(path.relative_to(runs.path)) for task, path in folders.items()}
    return Suggestion(choice, places, tests, levels)


def _tested(
    ours: Scored, theirs: Scored, metric: TaskMetric, margin: float, error: float
) -> NotWorse:
    if metric.name == "accuracy" and ours.units is None:
        return not_worse(ours.right(), theirs.right(), margin, error=error)
    sign = 1 if metric.higher else -1

    def difference(rows: NDArray[np.int64]) -> float:
        return sign * (ours.on(rows) - theirs.on(rows))

    units = len(ours) if ours.units is None else ours.units
    return not_worse_by_groups(difference, units, margin, error=error)


def _margin(metric: TaskMetric, alone: float, margin: float) -> float:
    """Return the margin in the unit of a metric."""
    return margin if metric.perfect == 1 else margin * abs(alone)


def validated_score(method: Method, runs: Runs, unit: Unit) -> float:
    """Return the mean score over the tasks of all models of a method, on validation rows."""
    found = [validation_of(path).score for path in runs.finals(method, unit)]
    sizes = [1 if part is None else len(part) for part in method.parts]
    return sum(n * score for n, score in zip(sizes, found, strict=True)) / sum(sizes)


def _named(methods: Sequence[Method], name: str) -> Method:
    return next(method for method in methods if method.name == name)


def _validated(method: Method, task: str, metric: TaskMetric, runs: Runs, unit: Unit) -> float:
    for part, path in zip(method.parts, runs.finals(method, unit), strict=True):
        if part is None or task in part:
            return validated_metrics(path)[task][metric.name]
    raise AssertionError(task)
