"""The schema of a run, and reading it with every problem reported at once."""

from typing import TYPE_CHECKING, Any

from motet.config.members import Member
from motet.config.origin import ConfigError, Origin, Problem
from motet.config.reading import read
from motet.config.schema import Config, json_schema
from motet.config.shortcuts import (
    classification_task,
    hard_sharing,
    masked_language_modelling_task,
    mmoe_sharing,
    multi_label_task,
    regression_task,
    soft_sharing,
    table,
)
from motet.elsewhere import missing

__all__ = [
    "Config",
    "ConfigError",
    "Member",
    "Origin",
    "Problem",
    "classification_task",
    "hard_sharing",
    "json_schema",
    "masked_language_modelling_task",
    "mmoe_sharing",
    "multi_label_task",
    "read",
    "regression_task",
    "soft_sharing",
    "table",
]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
