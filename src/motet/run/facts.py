"""Facts about the rows of a run that rules read; see `motet.settings`. Needs no torch."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.selection import matching
from motet.data.values import is_list
from motet.options import label_kind_of
from motet.problems import InputError
from motet.registry import AUXILIARY
from motet.settings import Facts, InputFacts

_TEXTS = 20_000
"""Texts whose words are counted."""

_OF_WORDS = ("tags", "word_numbers")
"""Kinds of labels that words have."""
Members = Mapping[str, Mapping[str, Any]]
"""For each name, the options of a member with its ``type``."""


@dataclass(frozen=True)
class SplitRows:
    """The rows of a source."""

    table: pa.Table
    """All of them, or those that are at hand where rows are streamed."""
    train: Any
    """Numbers of training rows in the table (n,)."""
    rows: int
    """How many training rows there are."""
    validation_rows: int
    name: str = ""
    """The name of the source; empty if it is the only one."""


def facts_of(sources: Sequence[SplitRows], inputs: Members, tasks: Members) -> Facts:
    """Find the facts about the rows of one or several sources.

    Args:
        sources: The rows.
        inputs: The inputs; columns that a source lacks are left out.
        tasks: The tasks.

    Returns:
        The facts.
    """
    enabled = {name: each for name, each in tasks.items() if each.get("enabled", True) is not False}
    kinds = {name: each["type"] for name, each in enabled.items()}
    return Facts(
        max((each.rows for each in sources), default=0),
        sum(each.validation_rows for each in sources),
        {name: _of_input(name, each, sources) for name, each in inputs.items()},
        kinds,
        any(label_kind_of(kind) in _OF_WORDS for kind in kinds.values() if kind not in AUXILIARY),
        {each.name: each.rows for each in sources if each.name},
    )


def _of_input(name: str, options: Mapping[str, Any], sources: Sequence[SplitRows]) -> InputFacts:
    kind = options["type"]
    named = options.get("columns") or options.get("column") or name
    there = dict.fromkeys(column for each in sources for column in each.table.column_names)
    columns: Sequence[str] = ()
    with suppress(InputError):  # which is reported where the input is made
        columns = matching(named, list(there), f"input {name!r}")
    if kind != "text":
        return InputFacts(kind, len(columns))
    texts = [_texts(each, columns) for each in sources]
    words = [text.lower().split() for own in texts for text in own]
    distinct, mean = len({word for row in words for word in row}), _mean(map(len, words))
    rows = sum(each.rows for each, own in zip(sources, texts, strict=True) if own)
    return InputFacts(kind, len(columns), len(words), mean, distinct, round(mean * rows))


def _texts(source: SplitRows, columns: Iterable[str]) -> list[str]:
    """Return the texts of some training rows, evenly spread; pairs joined."""
    train = np.asarray(source.train)
    rows = pa.array(train[:: max(1, -(-len(train) // _TEXTS))])
    found: list[list[str]] = []
    for column in columns:
        if column not in source.table.column_names:
            return []
        values = source.table[column].take(rows)
        if is_list(values.type):
            found.append([" ".join(map(str, row or ())) for row in values.to_pylist()])
        else:
            found.append([str(each or "") for each in values.to_pylist()])
    return [" ".join(row) for row in zip(*found, strict=True)]


def _mean(counts: Iterable[int]) -> float:
    known = list(counts)
    return sum(known) / len(known) if known else 0.0
