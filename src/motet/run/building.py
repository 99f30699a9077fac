"""Builds a trainer from a config and fitted preprocessing."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from motet.config import Config, ConfigError
from motet.config.collecting import Collector
from motet.config.reading import override_list
from motet.data.lacking import lacking_in
from motet.model import MultiTaskModel
from motet.model.building import check_encoders, check_tasks
from motet.model.sizes import learned_sizes
from motet.problems import InputError
from motet.processes import processes_of
from motet.run.frozen_states import check_cache
from motet.run.joining import check_device
from motet.run.prepared import AnyPrepared, PreparedSources, starts_of
from motet.run.preparing import prepare
from motet.run.starting_weights import load_weights, refuse_other_splits
from motet.run.stream_prepared import PreparedStream
from motet.scheduling import Scheduler
from motet.tasks import Auxiliary, Task
from motet.tasks.scores import fit_trivial, statistics_of
from motet.tasks.statistics import LabelStatistics
from motet.training import Trainer, make_stages
from motet.training.creating import create_scheduler
from motet.training.facts import check_batch_size
from motet.training.priorities import check_priority
from motet.training.source_checks import check_auxiliary, check_batches, refuse_batch_norm


def train_statistics(prepared: AnyPrepared, tasks: Iterable[Task]) -> dict[str, LabelStatistics]:
    """Return the statistics of the training labels, for tasks that have labels."""
    tasks = list(tasks)
    labels, weights = prepared.known_labels("train", tasks), prepared.row_weights("train")
    found = {
        task.name: statistics_of(task, labels.get(task.name), weights.get(task.name))
        for task in tasks
    }
    return {name: each for name, each in found.items() if each is not None}


def check(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    data: Any = None,
    overrides: Sequence[str] = (),
) -> AnyPrepared:
    """Check all of a config and its data, down to every option of model and training.

    Each of several folds is prepared, so that none ends another's training with a mistake.

    Returns:
        What training would start from.

    Raises:
        ConfigError: If anything is wrong; every problem is named.
    """
    prepared = prepare(config, data=data, overrides=overrides)
    build_trainer(prepared)
    split = prepared.config.data.split
    for fold in range(2, (split.folds or 0) + 1) if split.fold is None else ():
        with _of_fold(fold), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its run repeats them
            one = [*override_list(overrides), f"data.split.fold={fold}"]
            build_trainer(prepare(config, data=data, overrides=one))
    return prepared


@contextmanager
def _of_fold(fold: int) -> Iterator[None]:
    """Begin each problem with the number of the fold."""
    try:
        yield
    except ConfigError as error:
        found = [replace(each, message=f"fold {fold}: {each.message}") for each in error.problems]
        raise ConfigError(found, error.partial, error.origin) from None


def _check_sources(prepared: PreparedSources, model: MultiTaskModel, collector: Collector) -> None:
    shapes = prepared.preprocessing.shapes()
    lacking = {name: lacking_in(shapes, part.inputs) for name, part in prepared.parts.items()}
    for task in model.tasks:
        if isinstance(task, Auxiliary):
            with collector.at("tasks", task.name):
                check_auxiliary(task, list(lacking), lacking.__getitem__)


def build_trainer(prepared: AnyPrepared) -> Trainer:
    """Build model and trainer.

    Returns:
        The trainer, which holds the model.

    Raises:
        ConfigError: If an option does not fit the tasks or the machine.
    """
    config, collector = prepared.config, Collector(prepared.origin)
    chosen = config.training
    sizes = learned_sizes(config, prepared.preprocessing)
    check_encoders(config, sizes, collector)
    check_tasks(config, sizes, collector)
    collector.stop()
    with collector.at("model"):
        model = MultiTaskModel.from_sizes(config, sizes)
    collector.stop()
    for start in starts_of(prepared):
        with collector.at("from_run"):
            load_weights(model, start)
            refuse_other_splits(prepared, start)
    collector.stop()
    if isinstance(prepared, PreparedSources):
        with collector.at("model"):
            refuse_batch_norm(model)
        _check_sources(prepared, model, collector)
    with collector.at("balancing"):
        stages = make_stages([stage.model_dump() for stage in config.stages], model)
    collector.stop()
    with collector.at("scheduling"):
        scheduler = create_scheduler(config.scheduling.model_dump(), model)
        if "own_rows" in scheduler.needs:
            _check_one_table(scheduler, prepared)
        check_batches(scheduler, model)
    collector.stop()
    for task in model.active_tasks:
        with collector.at("tasks", task):
            check_priority(model.tasks[task], scheduler, stages)
    collector.stop()
    with collector.at("training"):
        trainer = Trainer(model, stages, scheduling=scheduler, **chosen.options())
        check_device(trainer.device, processes_of())
    collector.stop()
    with collector.at("training"):
        trivial = fit_trivial(model.tasks, train_statistics(prepared, model.tasks))
        trainer.check_monitor(prepared.known_labels("validation", model.tasks), trivial)
    with collector.at("training"):
        trainer.check_epochs(chosen.epoch_count)
    with collector.at("training"):
        check_batch_size(trainer.planner, chosen.batch_size)
    steps = prepared.steps(chosen.batch_size)
    if "own_rows" in scheduler.needs:  # at most so many
        steps *= len(model.labelled_tasks)
    for name in model.auxiliary_tasks:
        with collector.at("tasks", name):
            frequencies = trainer.planner.frequencies
            frequencies.check(chosen.epoch_count, steps, name)
    with collector.at("training"):
        check_cache(config, trainer)
    collector.stop()
    return trainer


def _check_one_table(scheduler: Scheduler, prepared: AnyPrepared) -> None:
    if len(prepared.parts) > 1:
        raise InputError(
            f"found {type(scheduler).__name__} and several sources; expected one table, whose rows "
            "it can choose; give the tasks their batch_size instead"
        )
    if isinstance(prepared, PreparedStream):
        raise InputError(
            f"found {type(scheduler).__name__} and a stream; expected rows in memory, of which it "
            "can choose by their labels; remove stream, or choose another scheduler"
        )
