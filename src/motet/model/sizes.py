"""What a model needs to know about rows and labels: learned from data, or given in a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from motet.config import Config
from motet.config.collecting import Collector
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import InputShapes, Shape
from motet.data.preprocessing import Preprocessing
from motet.options import create
from motet.problems import InputError
from motet.registry import INPUTS


@dataclass(frozen=True)
class Sizes:
    """What a model needs to know about the rows it will see."""

    inputs: InputShapes
    """The columns of the table, the texts, and the inputs with their own branch."""
    tasks: Mapping[str, Mapping[str, Any]]
    """For each task, the options that its labels determine: classes, scaling, outputs."""


def learned_sizes(config: Config, preprocessing: Preprocessing) -> Sizes:
    """Take the sizes from fitted preprocessing."""
    return Sizes(
        preprocessing.shapes(),
        {name: preprocessing.target(name).learned() for name in config.tasks},
    )


def declared_sizes(config: Config, collector: Collector) -> Sizes:
    """Take the sizes from the inputs' options.

    Args:
        config: The config.
        collector: Collects a problem at the key of each input whose options do not give its size.

    Returns:
        The sizes.

    Raises:
        InputError: Collected, if the config has no inputs.
    """
    found: dict[str, Shape] = {}
    with collector.at("inputs"):
        if config.inputs is None:
            raise InputError("missing; without data, expected each input with its type and size")
    for name, chosen in (config.inputs or {}).items():
        with collector.at("inputs", name):
            made: Input = create(INPUTS, chosen.type, name, **chosen.options())
            found[name] = made.declared()
    return Sizes(InputShapes.of(found), {name: {} for name in config.tasks})
