"""Chooses what a config leaves to the data, before anything is built; see `motet.settings`."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from motet.config import Config
from motet.config.collecting import Collector
from motet.config.cross_checks import checked_epochs
from motet.config.schema import current
from motet.run.facts import SplitRows, facts_of
from motet.run.reading import Reading
from motet.settings import Choice, resolve
from motet.settings.resolving import needs_facts

Chosen = tuple[Choice, ...]


def settle(
    config: Config, given: Mapping[str, Any], readings: Iterable[Reading], collector: Collector
) -> tuple[Config, Chosen]:
    """Choose what a config leaves to the data.

    Args:
        config: The config, with inputs.
        given: What the user gave of it.
        readings: The sources, read and split.
        collector: Collects problems with what was chosen.

    Returns:
        The config with plain values alone, and what was chosen.

    Raises:
        ConfigError: If something that the user gave does not fit what was chosen.
    """
    plain = config.model_dump()
    if not needs_facts(plain):
        return config, ()
    facts = facts_of([_rows(each) for each in readings], plain["inputs"], plain["tasks"])
    found, chosen = resolve(plain, given, facts)
    if not chosen:
        return config, ()
    settled = current().model_validate(found)
    collector.problems += checked_epochs(settled, collector.origin)
    collector.stop()
    return settled, tuple(chosen)


def _rows(reading: Reading) -> SplitRows:
    """Return the rows of a source; of a stream, its first part stands for the words of texts."""
    if reading.splits is not None:
        rows = reading.splits
        sizes = len(rows.train), len(rows.validation)
        return SplitRows(reading.table, rows.train, *sizes, reading.name)
    assert reading.stream is not None
    assert reading.stream_split is not None
    train, validation, _ = reading.stream_split.counts(reading.stream)
    first = next(iter(reading.stream.tables()), reading.table)
    own = np.flatnonzero(reading.stream_split.places(first, 0) == 0)
    return SplitRows(first, own, train, validation, reading.name)
