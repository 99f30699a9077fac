"""What a model needs to know about rows and labels: learned from data, or given in a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from motet.config import Config
from motet.config.collecting import Collector
from motet.data.inputs.base import Declared, Expansion, Input, TextSizes
from motet.data.preprocessing import Preprocessing
from motet.options import create
from motet.problems import InputError
from motet.registry import INPUTS


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
    """For each task, the options that its labels determine: classes, scaling, outputs."""
    texts: Mapping[str, TextSizes]
    """For each input that is a text, what its encoder has to know."""


def learned_sizes(config: Config, preprocessing: Preprocessing) -> Sizes:
    """Take the sizes from fitted preprocessing."""
    return Sizes(
        preprocessing.numbers,
        preprocessing.categories,
        preprocessing.expansions,
        {name: preprocessing.target(name).learned() for name in config.tasks},
        preprocessing.texts,
    )


def declared_sizes(config: Config, collector: Collector) -> Sizes:
    """Take the sizes from the inputs' options.

    Args:
        config: The config.
        collector: Collects a problem at the key of each input whose options do not give its size.

    Returns:
        The sizes.

    Raises:
        InputError: Into the collector, if the config has no inputs.
    """
    found: dict[str, Declared] = {}
    with collector.at("inputs"):
        if config.inputs is None:
            raise InputError("missing; without data, expected each input with its type and size")
    for name, chosen in (config.inputs or {}).items():
        with collector.at("inputs", name):
            made: Input = create(INPUTS, chosen.type, name, **chosen.options())
            found[name] = made.declared()
    numbers = sum(each.numbers for each in found.values())
    categories = tuple(size for each in found.values() for size in each.sizes)
    texts = {name: each.text for name, each in found.items() if each.text is not None}
    return Sizes(numbers, categories, (), {name: {} for name in config.tasks}, texts)
