"""Facts about the rows of a run that rules read; see `motet.settings`. Needs no torch."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.inputs.shapes import TextSizes
from motet.data.selection import matching
from motet.data.targets.tags import TagTarget
from motet.data.values import is_list
from motet.data.words import text_of
from motet.options import label_kind_of
from motet.problems import InputError
from motet.registry import AUXILIARY
from motet.settings import Facts, InputFacts

_TEXTS = 20_000
"""Texts whose words are counted."""
_TAGGED = 2_000
"""Texts whose tags are counted."""

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
    labels = {
        name: label_kind_of(each["type"])
        for name, each in enabled.items()
        if each["type"] not in AUXILIARY
    }
    of_words = {name: enabled[name] for name, kind in labels.items() if kind in _OF_WORDS}
    labelled = _labelled(inputs, of_words, sources)
    tagged = [name for name, kind in labels.items() if kind == "tags"]
    spans = {name: _span_tags(name, enabled[name], sources) for name in tagged}
    return Facts(
        max((each.rows for each in sources), default=0),
        sum(each.validation_rows for each in sources),
        {name: _of_input(name, each, sources, name in labelled) for name, each in inputs.items()},
        {name: each["type"] for name, each in enabled.items()},
        {name: count for name, count in spans.items() if count},
        {each.name: each.rows for each in sources if each.name},
    )


def _labelled(inputs: Members, tasks: Members, sources: Sequence[SplitRows]) -> set[str]:
    """Name the texts whose words tasks label."""
    texts = {
        name: TextSizes(1, words=_has_words(name, options, sources))
        for name, options in inputs.items()
        if options["type"] == "text"
    }
    found: set[str] = set()
    if not texts:
        return found
    for name, options in tasks.items():
        with suppress(InputError):  # which is reported where labels are read
            found.add(text_of(name, options.get("input"), texts))
    return found


def _has_words(name: str, options: Mapping[str, Any], sources: Sequence[SplitRows]) -> bool:
    """Whether a text is a list of words, as `motet.data.inputs.text` finds it."""
    if options.get("split") is not None:
        return True
    column = options.get("column") or name
    having = [each.table[column] for each in sources if column in each.table.column_names]
    return not options.get("columns") and any(is_list(values.type) for values in having)


def _span_tags(name: str, options: Mapping[str, Any], sources: Sequence[SplitRows]) -> int:
    """Return how many tags a task has, in some training rows; 0 if they spell no spans."""
    column, classes = options.get("column") or name, options.get("classes")
    listed = None if isinstance(classes, int) else classes
    found: set[str] = set()
    for each in sources:
        target = TagTarget(name, column=column, classes=listed, scheme=options.get("scheme"))
        with suppress(InputError):  # which is reported where labels are read
            if column in each.table.column_names:
                target.fit(each.table.select([column]).take(_some(each, _TAGGED)))
        found |= {*target.names} if target.tags.has_spans else set()
    return len(found)


def _of_input(
    name: str, options: Mapping[str, Any], sources: Sequence[SplitRows], labelled: bool
) -> InputFacts:
    kind = options["type"]
    if kind != "text":
        return InputFacts(kind)
    named = options.get("columns") or options.get("column") or name
    there = dict.fromkeys(column for each in sources for column in each.table.column_names)
    columns: Sequence[str] = ()
    with suppress(InputError):  # which is reported where the input is made
        columns = matching(named, list(there), f"input {name!r}")
    texts = [_texts(each, columns) for each in sources]
    words = [text.lower().split() for own in texts for text in own]
    distinct, mean = len({word for row in words for word in row}), _mean(map(len, words))
    rows = sum(each.rows for each, own in zip(sources, texts, strict=True) if own)
    return InputFacts(kind, distinct, round(mean * rows), labelled)


def _texts(source: SplitRows, columns: Iterable[str]) -> list[str]:
    """Return the texts of some training rows, evenly spread; pairs joined."""
    rows = _some(source, _TEXTS)
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


def _some(source: SplitRows, most: int) -> pa.Array:
    """Return the numbers of some training rows, evenly spread."""
    train = np.asarray(source.train)
    return pa.array(train[:: max(1, -(-len(train) // most))])


def _mean(counts: Iterable[int]) -> float:
    known = list(counts)
    return sum(known) / len(known) if known else 0.0
