"""From a config and fitted preprocessing to a model, and to its trainer."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from motet.config import Config, Origin
from motet.data.preprocessing import Preprocessing
from motet.data.targets import Target
from motet.model import MultiTaskModel
from motet.options import create
from motet.registry import ENCODERS, SHARING, TASKS
from motet.run.preparing import Collector
from motet.tasks import Task
from motet.training import Trainer, make_balancer
from motet.training.randomness import own_generators, seed_generators


def build_model(config: Config, preprocessing: Preprocessing) -> MultiTaskModel:
    """Build the model of a config, its first weights drawn from the config's seed."""
    cpu = torch.device("cpu")
    with own_generators(cpu):
        seed_generators(cpu, config.training.seed, "model")
        encoder = create(
            ENCODERS,
            config.model.encoder.type,
            preprocessing.numbers,
            preprocessing.categories,
            **config.model.encoder.options(),
        )
        tasks = [build_task(config, name, preprocessing.target(name)) for name in config.tasks]
        sharing = create(SHARING, config.model.sharing.type, **config.model.sharing.options())
        return MultiTaskModel(encoder, tasks, sharing=sharing)


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
    task: Task = create(TASKS, chosen.type, name, **{**chosen.options(), **learned})
    return task


def build_trainer(
    config: Config,
    origin: Origin,
    preprocessing: Preprocessing,
    on_record: Callable[[dict[str, Any]], object] | None = None,
) -> Trainer:
    """Build model and trainer.

    Raises:
        ConfigError: If an option does not fit the tasks or the machine.
    """
    collector = Collector(origin)
    chosen = config.training
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
            on_record=on_record,
        )
    collector.stop()
    return trainer
