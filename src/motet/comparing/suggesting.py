"""What to deploy: one model of all tasks where it is good enough, single-task models elsewhere.

The choice is made on validation rows, and written down before test rows are read:

1. Of the methods that train one model of all tasks, the one with the best mean score. Distillation
   and groups of tasks are among them; a model with groups has an encoder for each, and a task that
   is alone in its group shares nothing.
2. A task that this model does worse than its single-task model, by more than half the margin in the
   mean over repetitions, gets the latter. If fewer than two tasks are left, all tasks do.

Then each task of the shared model is tested once on the test rows, against its single-task model of
the same repetition: that it is not worse by the margin or more (`motet.comparing.margins`). The
test is about these two models on rows like these, whatever chose them. With folds the choice is
made on the validation rows of the first alone, as those of others are test rows of the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite, isnan
from statistics import mean
from typing import Any

from motet.comparing.margins import Levels, Tested, served, tested
from motet.comparing.methods import SINGLE, Method, Unit
from motet.comparing.reading import validated_metrics, validation_of
from motet.comparing.runs import Runs
from motet.comparing.summary import TaskMetric
from motet.report.suggestion import suggested, verdict
from motet.run import folder, load
from motet.run.layout import line
from motet.run.scoring import scored

CONFIG = "suggested.yaml"
"""The config of the model that several tasks share; none where single-task models serve all."""


@dataclass(frozen=True)
class Choice:
    """What is deployed, chosen on validation rows."""

    method: str
    """The method whose model serves the tasks of ``shared``."""
    shared: Sequence[str]
    """Tasks that it serves; none where single-task models serve all."""
    single: Sequence[str]
    """Tasks that single-task models serve."""
    scores: Mapping[str, float]
    """By method of one model for all tasks, the mean score on validation rows."""
    validation: Mapping[str, tuple[float, float]]
    """By task, the mean metric on validation rows of the shared model, and of single-task ones."""


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
        yield line("suggest", suggested(asdict(self.choice)))
        for path in dict.fromkeys(self.runs.values()):
            tasks = [task for task, own in self.runs.items() if own == path]
            yield line("deploy", f"{path}: {', '.join(tasks)}")
        for task, found in self.tests.items():
            words = verdict(asdict(found), metrics[task].name, self.levels.error)
            seen = (
                f"difference {found.difference:+.4f}, at least {found.bound:+.4f}"
                if isfinite(found.bound)
                else "the metric needs more of them"
            )
            yield line("tested", f"{task}: {words} ({found.rows:,} test rows; {seen})")

    def as_dict(self) -> dict[str, Any]:
        """Return what ``results.json`` holds."""
        return asdict(self)


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

    scores = {
        method.name: mean(validated_score(method, runs, unit) for unit in units) for method in whole
    }
    best = max(scores, key=lambda name: -inf if isnan(scores[name]) else scores[name])
    chosen = _named(methods, best)
    single = _named(methods, SINGLE)
    values = {
        task: (
            mean(_validated(chosen, task, metric, runs, unit) for unit in units),
            mean(_validated(single, task, metric, runs, unit) for unit in units),
        )
        for task, metric in metrics.items()
    }
    shared = served(values, metrics, levels)
    rest = [task for task in metrics if task not in shared]
    return Choice(best, shared, rest, scores, values)


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
    ours = scored(load(shared), table, choice.shared) if choice.shared else {}
    theirs = {task: scored(load(alone[task]), table, [task])[task] for task in choice.shared}
    tests = tested(ours, theirs, metrics, levels)
    folders = {task: shared if task in choice.shared else alone[task] for task in metrics}
    places = {task: str(path.relative_to(runs.path)) for task, path in folders.items()}
    return Suggestion(choice, places, tests, levels)


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
