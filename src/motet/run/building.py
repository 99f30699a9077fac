"""From a config and fitted preprocessing to a model, and to its trainer."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from motet.config import Config, Member, Origin
from motet.data.preprocessing import Preprocessing
from motet.data.targets import Target
from motet.model import MultiTaskModel
from motet.options import create
from motet.problems import InputError
from motet.registry import ENCODERS, SHARING, TASKS
from motet.run.preparing import Collector, Prepared, prepare
from motet.tasks import Task
from motet.tasks.task_metrics import find_metrics
from motet.training import Trainer, make_balancer
from motet.training.randomness import own_generators, seed_generators


def build_model(config: Config, preprocessing: Preprocessing) -> MultiTaskModel:
    """Build the model of a config, its first weights drawn from the config's seed."""
    cpu = torch.device("cpu")
    with own_generators(cpu):
        seed_generators(cpu, config.training.seed, "model")
        encoder = _build_encoder(config.model.encoder, preprocessing)
        tasks = [build_task(config, name, preprocessing.target(name)) for name in config.tasks]
        sharing = create(SHARING, config.model.sharing.type, **config.model.sharing.options())
        return MultiTaskModel(encoder, tasks, sharing=sharing)


def _build_encoder(chosen: Member, preprocessing: Preprocessing) -> nn.Module:
    """Build the encoder from (numbers, categories) and, if it takes them, the numbers' bins."""
    sizes: dict[str, Any] = {}
    if "expansions" in inspect.signature(ENCODERS[chosen.type]).parameters:
        sizes["expansions"] = preprocessing.expansions
    encoder: nn.Module = create(
        ENCODERS,
        chosen.type,
        preprocessing.numbers,
        preprocessing.categories,
        **sizes,
        **chosen.options(),
    )
    return encoder


def build_task(config: Config, name: str, target: Target) -> Task:
    """Build a task with what its labels taught: classes, scaling."""
    chosen = config.tasks[name]
    member = TASKS[chosen.type]
    accepted = inspect.signature(member).parameters
    learned = {
        option: getattr(target, attribute)
        for option, attribute in (
            ("classes", "names"),
            ("scaling", "scaling"),
            ("outputs", "outputs"),
        )
        if option in accepted and hasattr(target, attribute)
    }
    options = chosen.options()
    outputs = options.get("outputs", 1)
    if outputs not in (1, learned.get("outputs", outputs)):
        raise InputError(
            f"outputs is {outputs}, but a row has {learned['outputs']} of its labels; "
            "remove outputs"
        )
    task: Task = create(TASKS, chosen.type, name, **{**options, **learned})
    return task


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
    build_trainer(prepared.config, prepared.rows.origin, prepared.preprocessing)
    return prepared


def build_trainer(
    config: Config,
    origin: Origin,
    preprocessing: Preprocessing,
    **hooks: Any,
) -> Trainer:
    """Build model and trainer; ``hooks`` are arguments of the trainer that no config has.

    Returns:
        The trainer, which holds the model.

    Raises:
        ConfigError: If an option does not fit the tasks or the machine.
    """
    collector = Collector(origin)
    chosen = config.training
    for name in config.tasks:
        with collector.at("tasks", name):
            find_metrics([build_task(config, name, preprocessing.target(name))])
    collector.stop()
    with collector.at("model"):
        model = build_model(config, preprocessing)
    collector.stop()
    with collector.at("balancing"):
        balancer = make_balancer(config.balancing.model_dump(), model)
    collector.stop()
    with collector.at("training"):
        trainer = Trainer(
            model,
            balancer,
            batch_size=chosen.batch_size,
            optimizer=chosen.optimizer.model_dump(),
            lr_schedule=chosen.lr_schedule.model_dump(),
            clip_norm=chosen.clip_norm,
            patience=chosen.early_stopping.patience if chosen.early_stopping else None,
            monitor=chosen.monitor,
            seed=chosen.seed,
            device=chosen.device,
            precision=chosen.precision,
            evaluate_every=chosen.evaluate_every,
            checkpoint_every=chosen.checkpoint_every,
            **hooks,
        )
    collector.stop()
    with collector.at("training", "monitor"):
        trainer.check_monitor(config.tasks)
    collector.stop()
    return trainer
