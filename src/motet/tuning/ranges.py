"""The ranges of a search: checked as overrides of the config, and drawn by Optuna."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from motet import config as configs
from motet.config import Config, ConfigError
from motet.config.reading import override_list
from motet.config.tuning import Range
from motet.problems import InputError
from motet.run.starting import started

Choices = Range | tuple[Any, ...]
Source = str | Path | Mapping[str, Any] | Config


def override(key: str, value: Any) -> str:
    """Return ``key=value`` as the command line takes it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return f"{key}={text.strip().removesuffix('...').strip()}"  # which ends a bare value


def check(source: Source, overrides: Sequence[str], ranges: Mapping[str, Choices]) -> None:
    """Check that the config takes every choice, and both ends of every range.

    So must the earlier run that it starts from, if there is one.

    Raises:
        InputError: If it does not; the message names the key and the value.
    """
    for key, values in ranges.items():
        for value in values.bounds if isinstance(values, Range) else values:
            try:
                read, origin = configs.read(
                    source, [*override_list(overrides), override(key, value)]
                )
                started(read, origin.folder)
            except (ConfigError, InputError) as error:
                raise InputError(f"tuning.ranges, {override(key, value)}: {error}") from None


def draw(trial: Any, ranges: Mapping[str, Choices]) -> dict[str, Any]:
    """Let Optuna choose a value of each range."""
    return {key: _drawn(trial, key, values) for key, values in ranges.items()}


def _drawn(trial: Any, key: str, values: Choices) -> Any:
    if not isinstance(values, Range):  # by number, as Optuna takes no mappings or lists
        return values[trial.suggest_categorical(key, list(range(len(values))))]
    low, high = values.bounds
    if values.whole:
        return trial.suggest_int(key, low, high, step=values.step or 1, log=values.log)
    return trial.suggest_float(key, low, high, step=values.step, log=values.log)
