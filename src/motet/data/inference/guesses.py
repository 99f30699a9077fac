"""A guess about a column, and the words for what was seen in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.empty import spells_numbers
from motet.data.row_names import RowName
from motet.figures import counted
from motet.problems import shown

NAMES = 0.9
"""Share of distinct texts from which they identify rows."""
NAMED_SO = re.compile(r"(?i:(^|[_\s.-])(id|uid|uuid|key)$)|[a-z](Id|ID|Key)$")
"""Names of columns that hold names of things."""
_MIXED = 0.1
"""Share of numbers among texts from which both are counted."""


@dataclass(frozen=True)
class Guess:
    """What a column seems to be."""

    column: str
    type: str | None
    """Name of an input, or of a task; None if the column should not be used."""
    reason: str
    """What was seen, for users to read."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Options that it needs."""


def count_distinct(column: pa.ChunkedArray) -> int:
    """Count the distinct values of a column."""
    return int(pc.count_distinct(column, mode="only_valid").as_py())


def are_whole(column: pa.ChunkedArray) -> bool:
    """Return whether all numbers are whole; a frame with missing values stores them as 3.0."""
    return bool(pc.all(pc.equal(pc.floor(column), column)).as_py())


def distinct_things(count: int, thing: str) -> str:
    """Return "3 distinct texts"."""
    return counted(count, f"distinct {thing}")


def spelling_numbers(column: pa.ChunkedArray, name_row: RowName) -> str:
    """Count the texts that spell numbers, and the others: one typing error hides a number."""
    spelling = spells_numbers(column)
    texts, count = len(column) - column.null_count, pc.sum(spelling).as_py()
    if count < _MIXED * texts:
        return ""
    if count == texts:
        return ", all of which spell numbers"
    place = pc.index(spelling, False).as_py()
    return (
        f", numbers in {count:,} rows and words in {texts - count:,}, first "
        f"{shown(column[place].as_py())} in {name_row(place)}"
    )


def share_missing(column: pa.ChunkedArray) -> str:
    """Return ", 12 % missing", or nothing."""
    if not column.null_count:
        return ""
    share = 100 * column.null_count / len(column)
    return f", {share:.0f} % missing" if share >= 0.5 else f", {column.null_count:,} missing"
