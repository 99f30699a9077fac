"""Builds a trainer from a config and fitted preprocessing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from motet.config import Config
from motet.config.collecting import Collector
from motet.model import MultiTaskModel
from motet.model.building import check_encoders, check_tasks
from motet.model.sizes import learned_sizes
from motet.run.frozen_states import check_cache
from motet.run.preparing import Prepared, prepare
from motet.tasks import Task
from motet.tasks.scores import fit_trivial, statistics_of
from motet.tasks.statistics import LabelStatistics
from motet.training import Trainer, make_stages
from motet.training.creating import create_scheduler


def train_statistics(prepared: Prepared, tasks: Iterable[Task]) -> dict[str, LabelStatistics]:
    """Return the statistics of the training labels, for tasks that have labels."""
    labels, weights = prepared.labels("train"), prepared.row_weights("train")
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
) -> Prepared:
    """Check all of a config and its data, down to every option of model and training.

    Returns:
        What training would start from.

    Raises:
        ConfigError: If anything is wrong; every problem is named.
    """
    prepared = prepare(config, data=data, overrides=overrides)
    build_trainer(prepared)
    return prepared


def build_trainer(prepared: Prepared) -> Trainer:
    """Build model and trainer.

    Returns:
        The trainer, which holds the model.

    Raises:
        ConfigError: If an option does not fit the tasks or the machine.
    """
    config, collector = prepared.config, Collector(prepared.rows.origin)
    chosen = config.training
    sizes = learned_sizes(config, prepared.preprocessing)
    check_encoders(config, sizes, collector)
    check_tasks(config, sizes, collector)
    collector.stop()
    with collector.at("model"):
        model = MultiTaskModel.from_sizes(config, sizes)
    collector.stop()
    with collector.at("balancing"):
        stages = make_stages([stage.model_dump() for stage in config.stages], model)
    collector.stop()
    with collector.at("scheduling"):
        scheduler = create_scheduler(config.scheduling.model_dump(), model)
    collector.stop()
    with collector.at("training"):
        trainer = Trainer(model, stages, scheduling=scheduler, **chosen.options())
    collector.stop()
    with collector.at("training"):
        trivial = fit_trivial(model.tasks, train_statistics(prepared, model.tasks))
        trainer.check_monitor(prepared.labels("validation"), trivial)
    with collector.at("training"):
        trainer.check_epochs(chosen.epochs)
    rows = len(prepared.rows.split.train)
    for name in model.auxiliary_tasks:
        with collector.at("tasks", name):
            frequencies = trainer.planner.frequencies
            frequencies.check(chosen.epochs, -(-rows // chosen.batch_size), name)
    with collector.at("training"):
        check_cache(config, trainer)
    collector.stop()
    return trainer
