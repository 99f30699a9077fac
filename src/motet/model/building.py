"""From a config and sizes to a model; data taught the sizes, or the config tells them."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from motet.config import Config, Member
from motet.config.collecting import Collector, read_on
from motet.data.inputs.base import Expansion, Input
from motet.data.preprocessing import Preprocessing
from motet.model.multi_task_model import MultiTaskModel
from motet.options import create
from motet.problems import InputError
from motet.registry import ENCODERS, INPUTS, TASKS
from motet.sharing import create as create_sharing
from motet.tasks import Task
from motet.tasks.task_metrics import find_metrics


@dataclass(frozen=True)
class Sizes:
    """What a model has to know of the rows it will see."""

    numbers: int
    """Columns of numbers."""
    categories: tuple[int, ...]
    """For each column of categories, how many values it has."""
    expansions: tuple[Expansion | None, ...]
    """For each column of numbers, the bins to spread it over, None to take it as it is; or ()."""
    tasks: Mapping[str, Mapping[str, Any]]
    """For each task, what its labels taught: classes, scaling, outputs."""


def learned_sizes(config: Config, preprocessing: Preprocessing) -> Sizes:
    """Take the sizes from fitted preprocessing."""
    learned = (("classes", "names"), ("scaling", "scaling"), ("outputs", "outputs"))
    targets = {name: preprocessing.target(name) for name in config.tasks}
    return Sizes(
        preprocessing.numbers,
        preprocessing.categories,
        preprocessing.expansions,
        {
            name: {
                option: getattr(target, attribute)
                for option, attribute in learned
                if hasattr(target, attribute)
            }
            for name, target in targets.items()
        },
    )


def build_model(config: Config, sizes: Sizes) -> MultiTaskModel:
    """Build the model of a config, its first weights drawn from the config's seed."""
    with torch.random.fork_rng(devices=[]), _large_sizes_refused():
        torch.default_generator.manual_seed(config.training.seed % 2**64)
        tasks = [build_task(config, name, sizes) for name in config.tasks]
        sharing = create_sharing(config.model.sharing.type, **config.model.sharing.options())
        return MultiTaskModel(
            lambda: _build_encoder(config.model.encoder, sizes), tasks, sharing=sharing
        )


@contextmanager
def _large_sizes_refused() -> Iterator[None]:
    try:
        yield
    except (MemoryError, OverflowError):
        raise InputError(_TOO_LARGE) from None
    except (RuntimeError, TypeError) as error:  # torch has no types of its own for these
        if any(words in str(error).lower() for words in ("can't allocate memory", "overflow")):
            raise InputError(_TOO_LARGE) from None
        raise


_TOO_LARGE = (
    "it does not fit into the memory of this machine; give smaller sizes, for example of hidden, "
    "size, width, classes or outputs"
)


def _build_encoder(chosen: Member, sizes: Sizes) -> nn.Module:
    """Build the encoder from (numbers, categories) and, if it takes them, the numbers' bins."""
    bins: dict[str, Any] = {}
    if "expansions" in inspect.signature(ENCODERS[chosen.type]).parameters:
        bins["expansions"] = sizes.expansions
    encoder: nn.Module = create(
        ENCODERS, chosen.type, sizes.numbers, sizes.categories, **bins, **chosen.options()
    )
    return encoder


def build_task(config: Config, name: str, sizes: Sizes) -> Task:
    """Build a task with what its labels taught."""
    chosen = config.tasks[name]
    accepted = inspect.signature(TASKS[chosen.type]).parameters
    learned = {o: value for o, value in sizes.tasks[name].items() if o in accepted}
    task: Task = create(TASKS, chosen.type, name, **{**chosen.options(), **learned})
    return task


def check_tasks(config: Config, sizes: Sizes, collector: Collector) -> None:
    """Find what is wrong with the options of each task, its metrics and its outputs."""
    for name in config.tasks:
        with collector.at("tasks", name):
            task = build_task(config, name, sizes)
            task.require_outputs()
            find_metrics([task])


def build_without_data(
    source: str | Path | Mapping[str, Any] | Config,
) -> MultiTaskModel:
    """Build the model of a config that tells all sizes; see `MultiTaskModel.from_config`."""
    collector, config = read_on(source)
    sizes = _declared_sizes(config, collector)
    check_tasks(config, sizes, collector)
    collector.stop()
    with collector.at("model"):
        model = build_model(config, sizes)
    collector.stop()
    return model


def _declared_sizes(config: Config, collector: Collector) -> Sizes:
    """Take the sizes from the inputs' options; an input that tells none is a problem at its key."""
    found = []
    with collector.at("inputs"):
        if config.inputs is None:
            raise InputError("missing; without data, expected each input with its type and size")
    for name, chosen in (config.inputs or {}).items():
        with collector.at("inputs", name):
            made: Input = create(INPUTS, chosen.type, name, **chosen.options())
            found.append(made.declared())
    numbers = sum(each.numbers for each in found)
    categories = tuple(size for each in found for size in each.sizes)
    return Sizes(numbers, categories, (), {name: {} for name in config.tasks})
