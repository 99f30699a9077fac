"""What a comparison suggests to deploy: which model, why, and what the test rows show of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from motet.figures import figure, percent
from motet.report.elements import Lines, Section, Table, Titled

Facts = Mapping[str, Any]
"""``suggestion`` of ``results.json``: choice, runs, tests and levels."""


def suggestion(found: Facts, metrics: Mapping[str, Facts]) -> Section:
    """Return the section.

    Args:
        found: The suggestion.
        metrics: The metric of each task, as in ``results.json``.

    Returns:
        What is suggested in a sentence, the reasons, and a table of the tasks.
    """
    tests, levels = found["tests"], found["levels"]
    rows = []
    for task, metric in metrics.items():
        ours, alone = found["choice"]["validation"][task]
        test = tests.get(task)
        rows.append(
            (
                task,
                f"{metric['name']} ({'higher' if metric['higher'] else 'lower'} is better)",
                found["runs"][task],
                ours,
                alone,
                *((test["difference"], test["bound"]) if test else (None, None)),
                verdict(test, metric["name"], levels["error"])
                if test
                else "it is the single-task model",
            )
        )
    validation = ("shared, validation", "single-task, validation")
    head = ("task", "metric", "run", *validation, "difference, test", "at least", "verdict")
    why = Lines(list(_reasons(found)), "Why")
    table = Titled("Each task", Table(head, rows, list(metrics)))
    return Section("Suggestion", [why, table], suggested(found["choice"]) + ".")


def suggested(choice: Facts) -> str:
    """Return what is suggested in words."""
    if not choice["shared"]:
        return "single-task models for all tasks"
    single = choice["single"]
    also = f"; single-task models for {', '.join(single)}" if single else ""
    return f"{choice['method']} for {', '.join(choice['shared'])}{also}"


def verdict(test: Facts, metric: str, error: float) -> str:
    """Return the verdict on a task in words."""
    if test["verdict"] != "not worse":
        return "cannot tell with these rows"
    margin = f"{figure(test['margin'])} {metric}"
    return f"not worse than single-task by more than {margin} at error rate {percent(error)}"


def _reasons(found: Facts) -> Iterator[str]:
    choice, levels = found["choice"], found["levels"]
    scores = sorted(choice["scores"].items(), key=lambda each: -(each[1] or 0.0))
    listed = ", ".join(f"{name} {figure(score)}" for name, score in scores if score is not None)
    yield f"Mean scores on validation rows of the models of all tasks: {listed}."
    kept = ", ".join(choice["single"])
    if choice["shared"] and kept:
        yield (
            f"On validation rows {choice['method']} is worse than single-task models by more than "
            f"half the margin on {kept}, which keep theirs."
        )
    elif kept:
        yield (
            f"On validation rows {choice['method']} is worse than single-task models by more than "
            "half the margin on all tasks, or all but one."
        )
    if found["tests"]:
        rows = max(test["rows"] for test in found["tests"].values())
        yield (
            f"Then each task of {choice['method']} was tested once, on {rows:,} test rows, against "
            "its single-task model of the same repetition. The chance that any task is called not "
            f"worse that is worse by the margin is at most {percent(levels['error'])} (Holm)."
        )
