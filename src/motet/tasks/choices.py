"""Which metrics tasks have: their own, or others by name or function."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from motet.problems import InputError, hint
from motet.registry import METRICS
from motet.tasks.base import Task
from motet.tasks.metric import Metric, of_arrays
from motet.tasks.metrics.weighted import weighted

MetricChoice = Sequence[str | Callable[..., Any]] | str | Callable[..., Any]
"""Names and functions, or a single one."""


def find_metrics(
    tasks: Iterable[Task], choices: Mapping[str, MetricChoice] | None = None
) -> dict[str, dict[str, Metric]]:
    """Find the metrics of each task.

    Args:
        tasks: The tasks.
        choices: For some tasks, names and functions instead of the task's own.

    Returns:
        Metrics by name, by task.

    Raises:
        InputError: If a metric or task is unknown, or does not suit the other.
    """
    by_name = {task.name: task for task in tasks}
    for name in choices or {}:
        if name not in by_name:
            raise InputError(f"no task is named {name!r}; {hint(name, by_name)}", option="metrics")
    return {
        name: _of_task(task, (choices or {}).get(name, task.metrics))
        for name, task in by_name.items()
    }


def _of_task(task: Task, choice: MetricChoice) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    if not choice and choice is task.metrics and task.label_kind.given:
        raise InputError(
            f"task {task.name!r} of kind {task.kind!r} has no metrics; give metrics, or define "
            f"default_metrics in {type(task.label_kind).__name__}"
        )
    if isinstance(choice, str) or not isinstance(choice, Sequence):
        choice = [choice]
    for place, each in enumerate(choice, start=1):
        metric = _metric(each, place)
        if not metric.suits(task.label_kind):
            raise InputError(
                f"{metric.name!r} does not suit {task.kind}; these do: {_suiting(task)}",
                option="metrics",
                owner=f"task {task.name!r}",
            )
        if metric.name in ("loss", "count", *found):
            raise InputError(
                f"found a second metric named {metric.name!r}; leave one out, or rename the "
                "function",
                option="metrics",
                owner=f"task {task.name!r}",
            )
        found[metric.name] = weighted(metric, task.name) if task.weighted_metrics else metric
    return found


def check_others(metrics: Mapping[str, Mapping[str, Metric]], tasks: Mapping[str, Task]) -> None:
    """Check the tasks that metrics of several tasks name.

    Args:
        metrics: Metrics by name, by task.
        tasks: All tasks by name.

    Raises:
        InputError: If one is unknown, named twice, or has labels of a kind that does not suit.
    """
    for name, own in metrics.items():
        for metric in own.values():
            for other in metric.others:
                problem = ""
                if other not in tasks:
                    problem = f"no task is named {other!r}; {hint(other, tasks)}"
                elif (name, *metric.others).count(other) > 1:
                    problem = f"{other!r} is in it twice; name other tasks"
                elif not metric.suits(tasks[other].label_kind):
                    problem = f"{other!r} is of kind {tasks[other].kind}, which it does not suit"
                if problem:
                    raise InputError(
                        f"found {metric.name!r}: {problem}",
                        option="metrics",
                        owner=f"task {name!r}",
                    )


WEIGHED_LOSS = (
    "it is another form of the loss, which counts rows by their weights; give weighted_metrics: "
    "true, or metrics without it"
)


def check_of_loss(task: Task, metrics: Mapping[str, Metric]) -> None:
    """Check, where rows have weights, the metrics that are another form of the loss.

    Raises:
        InputError: If the loss counts rows by their weights, and metrics are not to do so.
    """
    found = [name for name, metric in metrics.items() if metric.of_loss is not None]
    if found and not task.weighted_metrics:
        raise InputError(
            f"found {found[0]!r} and weights of rows: {WEIGHED_LOSS}",
            option="metrics",
            owner=f"task {task.name!r}",
        )


def _metric(given: str | Callable[..., Any], place: int) -> Metric:
    if isinstance(given, str) and "@" in given:
        return _cut_off(given)
    if isinstance(given, str) and "+" in given:
        return _with_others(given)
    member = METRICS[given] if isinstance(given, str) else given
    if isinstance(member, Metric):
        return member
    if not callable(member):
        raise InputError(
            f"found {member!r}, expected a name or a function (predictions, targets) -> float; "
            f"names: {', '.join(METRICS)}",
            option="metrics",
        )
    own = getattr(member, "__name__", "<lambda>")
    unnamed = f"metric_{place}" if own == "<lambda>" else own
    return of_arrays(member, given if isinstance(given, str) else unnamed)


def _cut_off(given: str) -> Metric:
    """Return a metric of the first k positions, "name@k"."""
    name, _, last = given.partition("@")
    member = METRICS[name]
    at = member.at if isinstance(member, Metric) else None
    if at is None:
        having = [n for n in METRICS if getattr(METRICS[n], "at", None) is not None]
        raise InputError(
            f"found {given!r}, but {name} has no positions to cut off at; these have some: "
            f"{', '.join(f'{each}@10' for each in having)}",
            option="metrics",
        )
    if not last.isdecimal() or not int(last):
        raise InputError(
            f"found {given!r}, expected a whole number of positions after @, such as {name}@10",
            option="metrics",
        )
    return at(int(last))


def _with_others(given: str) -> Metric:
    """Return a metric of a task and others, "name+task"."""
    name, *others = (each.strip() for each in given.split("+"))
    member = METRICS[name]
    make = member.with_others if isinstance(member, Metric) else None
    if make is None or not all(others):
        having = [n for n in METRICS if getattr(METRICS[n], "with_others", None) is not None]
        raise InputError(
            f"found {given!r}, expected a metric of several tasks and their names: "
            f"{', '.join(f'{each}+TASK' for each in having)}",
            option="metrics",
        )
    return make(tuple(others))


def _suiting(task: Task) -> str:
    members = {name: METRICS[name] for name in METRICS}
    names = [n for n, m in members.items() if not isinstance(m, Metric) or m.suits(task.label_kind)]
    return ", ".join(names) or "functions (predictions, targets) -> float"
