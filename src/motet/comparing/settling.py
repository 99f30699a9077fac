"""Settles what a comparison trains before its first run: tasks, lengths, costs, and what fits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from motet.comparing import results
from motet.comparing.budget import Size, fitting, runs_of, seconds_of
from motet.comparing.estimating import Cost, cost_of
from motet.comparing.following import DISTILLED, GROUPS, left_out, why_ungrouped
from motet.comparing.methods import OWN, Method
from motet.comparing.question import CONFIG, Question, Settled, methods_of, write
from motet.comparing.runs import Base
from motet.comparing.summary import TaskMetric
from motet.config import Config, ConfigError
from motet.config.places import with_absolute
from motet.figures import counted, duration
from motet.planning.halving import fewest_epochs
from motet.problems import InputError
from motet.run import build_trainer, folder, prepare
from motet.run.costs import count_costs
from motet.run.folds import with_classes
from motet.run.layout import columns, line, titled
from motet.run.prepared import AnyPrepared, Prepared, PreparedSources
from motet.run.suggesting import groupable
from motet.run.training import config_text
from motet.tasks.choices import find_metrics
from motet.tasks.listing import main_tasks
from motet.tasks.scores import fit_trivial
from motet.training import Trainer
from motet.training.monitor import without_value

Say = Callable[[str], object]
SEEDS = 5
"""Number of seeds where none is asked for."""


def begin(
    question: Question,
    config: Any,
    data: Any,
    overrides: Sequence[str],
    output: str | Path | None,
    *,
    threads: int,
    processes: int,
    say: Say,
) -> tuple[Path, Base, Settled]:
    """Check everything, estimate what it costs, choose what fits, and make the folder.

    Args:
        question: What is asked.
        config: As for `motet.compare`, as are the following.
        data: Rows.
        overrides: Changes.
        output: The folder.
        threads: Threads of each run.
        processes: How many run at the same time.
        say: Called with each line.

    Returns:
        The folder, what runs start from, and what was settled.

    Raises:
        ConfigError: If the config or its data cannot be used.
        InputError: If something does not fit.
    """
    started = perf_counter()
    prepared = prepare(config, data=data, overrides=overrides)
    preparation = perf_counter() - started
    base, settled = _settled(question, prepared)
    methods = methods_of(question, base.config, settled)
    repeats = counted(settled.repeats, settled.unit)
    say(
        line(
            "compare",
            f"{counted(len(settled.tasks), 'task')}, {counted(len(methods), 'method')}, {repeats}",
        )
    )
    costs = {each.name: _cost(each, base, prepared, preparation, threads) for each in methods}
    settled = _fitted(question, base, replace(settled, costs=costs), processes)
    methods = methods_of(question, base.config, settled)
    for each in titled("methods", columns(list(_sizes(methods, base, settled)), right=(1, 2))):
        say(each)
    about = duration(whole_seconds(methods, base, settled) / processes)
    say(
        line(
            "estimate", f"about {about} with {counted(processes, 'process')}, if no run stops early"
        )
    )
    for note in settled.notes:
        say(line("note", note))
    origin = prepared.origin
    name = f"{origin.file.stem if origin.file else 'run'}-compare"
    text = config_text(with_absolute(base.config, origin.folder), origin.folder)
    with folder.created(output, name) as path:
        folder.write_text(path / CONFIG, text)
        write(path, question, settled)
        (path / "configs").mkdir()  # the plan's, which takes it for one of its own
    say(line("folder", str(path)))
    return path, replace(base, file=path / CONFIG), settled


def _settled(question: Question, prepared: AnyPrepared) -> tuple[Base, Settled]:
    """Settle what is compared, and for how long it is trained."""
    folds = _folds(question, prepared.config)
    _check_splits(prepared)
    trainer = build_trainer(prepared)
    tasks = _compared(trainer)
    if question.single_task:
        _check_each_alone(prepared, trainer, tasks)
    costs = count_costs(prepared)
    config = with_classes(prepared) if folds and isinstance(prepared, Prepared) else prepared.config
    config = config.model_copy(update={"tuning": None})
    base = Base(Path(CONFIG), config, _stretch(prepared, tasks), fewest_epochs(prepared))
    taught = [name for name in tasks if trainer.model.tasks[name].takes_soft]
    grouped = groupable(trainer.model.sharing, trainer.model.tasks.names)
    why = why_ungrouped(config, [name for name in tasks if name in grouped])
    return base, Settled(
        tasks,
        list(trainer.model.trained_tasks),
        "fold" if folds else "seed",
        folds or question.seeds or SEEDS,
        question.candidates,
        float(f"{costs.multiply_adds / sum(costs.alone[task] for task in tasks):.3g}"),
        base.stretch,
        base.shortest,
        taught,
        [] if why else grouped,
        {},
        list(_left_out(question, taught, why)),
    )


def _left_out(question: Question, taught: Sequence[str], why: str) -> Iterator[str]:
    """Say which methods that were asked for do not fit the tasks."""
    if question.distil and not taught:
        yield left_out(DISTILLED, "no task can learn from a teacher")
    if question.groups and why:
        yield left_out(GROUPS, why)


def _fitted(question: Question, base: Base, settled: Settled, processes: int) -> Settled:
    """Choose how much fits into the budget."""

    def seconds(size: Size) -> float:
        tried = replace(settled, repeats=size.repeats, candidates=size.candidates)
        methods = methods_of(question, base.config, tried)
        return whole_seconds(methods, base, tried) / processes

    asked = Size(settled.repeats, settled.candidates)
    limit = None if question.minutes is None else 60 * question.minutes
    size = fitting(asked, settled.unit == "fold", limit, seconds)
    of_unit = results.OF_FOLDS if settled.unit == "fold" else results.OF_SEEDS
    notes = [*_reduced(question, asked, size, settled.unit), of_unit, *settled.notes]
    return replace(settled, repeats=size.repeats, candidates=size.candidates, notes=notes)


def whole_seconds(methods: Sequence[Method], base: Base, settled: Settled) -> float:
    """Return the estimated seconds of all runs, one after the other."""
    return sum(
        seconds_of(each, base, settled.costs[each.name], settled.repeats, settled.unit == "fold")
        for each in methods
    )


def _folds(question: Question, config: Config) -> int | None:
    """Return the number of folds, if they are the repetitions."""
    split = config.data.split
    if split.folds is None or split.fold is not None:
        return None
    if question.seeds is not None:
        raise InputError(
            f"found {question.seeds} beside split.folds: {split.folds}, which are the repetitions; "
            "leave seeds out, or name one fold, data.split.fold=1",
            option="seeds",
        )
    return split.folds


def _compared(trainer: Trainer) -> dict[str, TaskMetric]:
    """Return the main tasks that have labels, with the first metric of each."""
    model = trainer.model
    tasks = [model.tasks[name] for name in model.labelled_tasks]
    names = main_tasks(tasks)
    if len(names) < 2:
        raise InputError(
            f"found one main task, {', '.join(names)}; expected two or more to compare sharing "
            "with single-task models"
        )
    found = {}
    for task, metrics in find_metrics([model.tasks[name] for name in names]).items():
        metric = next(iter(metrics.values()))
        if metric.higher_is_better is None:
            raise InputError(
                f"the first metric of task {task!r} is {metric.name!r}, of which it is not known "
                "whether higher is better; put another one first"
            )
        found[task] = TaskMetric(metric.name, metric.higher_is_better, metric.best)
    return found


def _check_splits(prepared: AnyPrepared) -> None:
    for split in ("validation", "test"):
        if not any(part.counts[split] for part in prepared.used.values()):
            purpose = "choose on" if split == "validation" else "compare on"
            raise InputError(f"data.split: found no {split} rows; expected some to {purpose}")
    if not prepared.config.data.evaluate_test:
        raise InputError(
            "data.evaluate_test: found false; a comparison reads test rows, once, at its end; "
            "remove it"
        )


def _check_each_alone(prepared: AnyPrepared, trainer: Trainer, tasks: Iterable[str]) -> None:
    """Check that the epoch of a model of each task alone can be chosen on validation rows."""
    alone = [trainer.model.tasks[name] for name in tasks]
    trivial = fit_trivial(alone, prepared.known_labels("train", alone))
    labels = prepared.known_labels("validation", alone)
    monitor = "loss" if trainer.monitor == "loss" else "mean"
    left = without_value(monitor, alone, labels, trainer.metrics, trivial)
    if left:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left.items())
        raise InputError(
            f"data.split: no epoch of a single-task model can be chosen on the validation rows for "
            f"{reasons}; give more labelled rows, leave the task out (tasks.{next(iter(left))}."
            "enabled=false), choose training.monitor: loss, or leave single-task models out "
            "(single_task=False, --no-single)"
        )


def _stretch(prepared: AnyPrepared, tasks: Iterable[str]) -> dict[str, float]:
    """Return the epochs that each task alone needs for as many steps, where sources differ."""
    if not isinstance(prepared, PreparedSources):
        return {}
    size, sizes = prepared.config.training.batch_size, prepared.batch_sizes()
    steps = prepared.steps(size)
    return {
        task: steps
        / max(
            part.steps(sizes.get(name, size))
            for name, part in prepared.parts.items()
            if task in part.rows.tasks
        )
        for task in tasks
    }


def _cost(
    method: Method, base: Base, prepared: AnyPrepared, preparation: float, threads: int
) -> Cost:
    """Time one model of a method; all have about the same size."""
    part = method.parts[0]
    epochs = base.epochs(method, part)
    overrides = [*base.overrides(method, part, epochs), *method.candidates[0]]
    try:
        return cost_of(prepared, overrides, part, preparation, threads)
    except (ConfigError, InputError) as error:
        if method.name == OWN:
            raise
        raise InputError(f"method {method.name!r}: {error}") from None


def _reduced(question: Question, asked: Size, size: Size, unit: str) -> list[str]:
    """Say what the budget leaves out."""
    left = []
    if size.repeats < asked.repeats:
        left.append(f"{counted(size.repeats, unit)} instead of {asked.repeats}")
    if size.candidates < asked.candidates:
        left.append(f"{counted(size.candidates, 'candidate')} instead of {asked.candidates}")
    if left:
        return [f"to stay within {question.minutes:g} minutes: {', '.join(left)}"]
    return []


def _sizes(methods: Sequence[Method], base: Base, settled: Settled) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("method", "runs", "time", "")]
    for method in methods:
        folds = settled.unit == "fold"
        count = sum(n for n, _ in runs_of(method, base, settled.repeats, folds))
        cost = settled.costs[method.name]
        seconds = seconds_of(method, base, cost, settled.repeats, folds)
        rows.append((method.name, f"{count}", duration(seconds), method.what))
    return rows
