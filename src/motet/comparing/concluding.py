"""The end of a comparison: choices are written down, then test rows are read, once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from statistics import mean
from typing import Any

from motet.comparing.margins import Levels
from motet.comparing.methods import Method, Unit
from motet.comparing.question import Settled, baseline_of
from motet.comparing.reading import rows_of, spent_together, test_of
from motet.comparing.results import Comparison, Ran, write_scores
from motet.comparing.runs import Runs, part_name
from motet.comparing.suggesting import (
    Choice,
    choose,
    test,
    validated_score,
    write_config,
)
from motet.comparing.summary import summarise
from motet.problems import InputError
from motet.run import folder
from motet.training import TrainingError

CHOICES = "choices.json"


@dataclass(frozen=True)
class Choices:
    """What was chosen on validation rows."""

    candidates: Mapping[str, Mapping[str, Sequence[str]]]
    """By method, the overrides that were chosen for each model and repetition."""
    validation: Mapping[str, Sequence[float]]
    """By method and repetition, the mean normalised score of all tasks on validation rows."""

    @property
    def best(self) -> str | None:
        """The method with the best mean score; None where scores are not known."""
        means = {name: mean(values) for name, values in self.validation.items()}
        known = {name: value for name, value in means.items() if not isnan(value)}
        return max(known, key=known.__getitem__) if known else None


def conclude(
    path: Path,
    methods: Sequence[Method],
    settled: Settled,
    runs: Runs,
    error: float,
    levels: Levels | None,
) -> Comparison:
    """Write down what was chosen, then read the test metrics, and write the results.

    Args:
        path: The folder of the comparison.
        methods: Its methods.
        settled: What was settled before it began.
        runs: Its runs, all of which ended.
        error: Error rate of verdicts.
        levels: Those of the suggestion, if one is asked for.

    Returns:
        The comparison.

    Raises:
        TrainingError: If the baseline failed.
        InputError: If the data changed while the comparison ran.
    """
    failed = {method.name: why for method in methods if (why := runs.why_failed(method))}
    baseline, equal = baseline_of(methods)
    if baseline in failed:
        raise TrainingError(f"the baseline could not be trained: {failed[baseline]}")
    done = [method for method in methods if method.name not in failed]
    _check_rows(done, runs)
    choices = Choices(
        {method.name: _chosen(method, runs) for method in done},
        {
            method.name: [validated_score(method, runs, unit) for unit in runs.units]
            for method in done
        },
    )
    suggested = None
    if levels is not None:
        suggested = choose(done, settled.tasks, runs, levels)
        write_config(suggested, done, runs)
    _write(path, choices, suggested)  # before any test metric is read
    scores = {
        (method.name, unit.number): _tested(method, runs, unit)
        for method in done
        for unit in runs.units
    }
    write_scores(path, runs.units[0].kind, scores)
    primary = {
        method.name: {
            task: [scores[method.name, unit.number][task][metric.name] for unit in runs.units]
            for task, metric in settled.tasks.items()
        }
        for method in done
    }
    result = Comparison(
        path,
        runs.units[0].kind,
        tuple(unit.number for unit in runs.units),
        baseline,
        settled.tasks,
        summarise(primary, settled.tasks, baseline, equal if equal in primary else None, error),
        {method.name: _ran(method, runs, choices) for method in done},
        failed,
        choices.best,
        (*settled.notes, *_of_one(runs)),
        error,
        None
        if suggested is None or levels is None
        else test(suggested, done, settled.tasks, runs, levels),
    )
    result.save()
    return result


def _write(path: Path, choices: Choices, suggested: Choice | None) -> None:
    content = {
        "candidates": choices.candidates,
        "validation": choices.validation,
        "best": choices.best,
    }
    if suggested is not None:
        content["suggestion"] = asdict(suggested)
    found = json.loads(json.dumps(folder.finite(content)))
    file = path / CHOICES
    if not file.exists() or json.loads(file.read_text(encoding="utf-8")) != found:
        folder.write_json(file, found)


def _chosen(method: Method, runs: Runs) -> dict[str, Sequence[str]]:
    """Return the overrides that were chosen, by model, and by fold where each has its own."""
    if len(method.candidates) == 1:
        return {}
    found: dict[str, Sequence[str]] = {}
    for part in method.parts:
        for unit in runs.searched_in:
            name = part_name(method, part) or "all tasks"
            label = name if unit.kind == "seed" else f"{name}, {unit.name}"
            found[label] = method.candidates[runs.chosen[method.name, part, unit]]
    return found


def _tested(method: Method, runs: Runs, unit: Unit) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for path in runs.finals(method, unit):
        found |= test_of(path)
    return found


def _of_one(runs: Runs) -> list[str]:
    kind = runs.units[0].kind
    return [f"one {kind}: no intervals, tests or verdicts"] if len(runs.units) == 1 else []


def _check_rows(methods: Sequence[Method], runs: Runs) -> None:
    for unit in runs.units:
        known: dict[str, Any] = {}
        for method in methods:
            for path in runs.finals(method, unit):
                known.setdefault("rows", rows_of(path))
                if rows_of(path) != known["rows"]:
                    raise InputError(
                        f"{path.name} was trained on other rows than the first run: the data "
                        "changed meanwhile; restore them, or start another comparison"
                    )


def _ran(method: Method, runs: Runs, choices: Choices) -> Ran:
    spent = [spent_together(runs.finals(method, unit)) for unit in runs.units]
    searched = spent_together(runs.candidates(method))
    return Ran(
        method.what,
        mean(each.steps for each in spent),
        mean(each.seconds for each in spent),
        max((each.memory for each in spent if each.memory is not None), default=None),
        searched.seconds,
        choices.candidates[method.name],
    )
