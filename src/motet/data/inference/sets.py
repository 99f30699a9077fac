"""Columns that hold sets of values, whose order does not count: lists, or texts with separators.

Lists of words are texts or sets: values of a set come from a short list, each once in a row.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.empty import spells_numbers
from motet.data.inference.guesses import Guess, distinct_things, share_missing
from motet.data.list_texts import holds_json, read_column, separator_of
from motet.data.row_numbers import FEWEST
from motet.data.values import as_texts, is_list
from motet.problems import shown

_USES = 5
"""Rows that a value of a set has on average, at least."""
_REPEATING = 0.01
"""Share of rows that have a value twice, up to which they are sets."""
_MOST_WORDS = 1000
"""Different words up to which lists of them are sets; more are a language."""
_LONGEST = 3
"""Words of a value between separators, on average, up to which it is a value, not a clause."""
_OF_ONE_SIZE = 0.9
"""Share of texts with the same number of values above which they are parts: city, state."""
_OTHERWISE = "; if they are the words of texts: text"


def infer_set(name: str, column: pa.ChunkedArray, *, otherwise: str = _OTHERWISE) -> Guess | None:
    """Guess whether a column holds sets of values.

    Lists of texts and whole numbers are sets if a value occurs in 5 rows on average, and hardly
    ever twice in one; lists of words without white space, of which there must be 1,000 different
    ones at most, since others are texts. Texts are sets if a tenth have a comma, semicolon or bar
    between short values, of which rows have different numbers and many combinations; and if a
    tenth are lists in JSON, under the conditions of lists. Texts of values between spaces are not
    recognised: they are taken for words.

    Args:
        name: Name of the column.
        column: Its training rows.
        otherwise: What is said of lists that may be words.

    Returns:
        The guess, with the separator of texts; None if it holds others.

    Example:
        >>> tags = pa.chunked_array([["red, big", "red", "big", "red, new", "new, big"] * 5])
        >>> guess = infer_set("tags", tags)
        >>> guess.type, guess.options, guess.reason
        ('set', {'separator': ','}, "texts of 3 distinct values between ',', 1.6 in a row")
        >>> infer_set("city", pa.chunked_array([["Rome, Italy", "Oslo, Norway"] * 12]))
    """
    known, missing = column.drop_null(), share_missing(column)
    if len(known) < FEWEST:
        return None
    if is_list(known.type):
        return _of_lists(name, known, missing, otherwise)
    separator = separator_of(known)
    if separator is not None:
        return _of_texts(name, known, separator, missing)
    if holds_json(known):
        return _of_lists(name, read_column(known), f"{missing}, as JSON", otherwise)
    return None


def _of_lists(name: str, lists: pa.ChunkedArray, more: str, otherwise: str) -> Guess | None:
    members = _Members.of(lists)
    numbers = not pa.types.is_string(lists.type.value_type) or bool(
        pc.all(spells_numbers(members.distinct)).as_py()
    )
    if not members.may_be_sets:
        return None
    spaced = pc.sum(pc.match_substring_regex(members.distinct, r"\S\s+\S")).as_py() or 0
    words = not numbers and not spaced
    if words and len(members.distinct) > _MOST_WORDS:
        return None
    what = distinct_things(len(members.distinct), "number" if numbers else "text")
    reason = f"lists of {what}, {members.per_row:.1f} in a row{more}"
    return Guess(name, "set", f"{reason}{otherwise}" if words else reason)


def _of_texts(name: str, texts: pa.ChunkedArray, separator: str, missing: str) -> Guess | None:
    words = pc.sum(pc.count_substring_regex(texts, r"\S+")).as_py()
    separators = pc.sum(pc.count_substring(texts, separator)).as_py()
    if words > _LONGEST * (separators + len(texts)):
        return None
    lists = read_column(texts, separator)
    sizes = pc.value_counts(pc.list_value_length(lists))
    commonest = pc.max(sizes.field("counts")).as_py()
    members = _Members.of(lists)
    combined = pc.count_distinct(texts).as_py() > len(members.distinct)
    if commonest > _OF_ONE_SIZE * len(texts) or not combined or not members.may_be_sets:
        return None
    what = f"texts of {distinct_things(len(members.distinct), 'value')} between {shown(separator)}"
    reason = f"{what}, {members.per_row:.1f} in a row{missing}"
    return Guess(name, "set", reason, {"separator": separator})


@dataclass(frozen=True)
class _Members:
    """What lists have in them."""

    distinct: pa.Array
    """Values, each once."""
    uses: int
    """Rows of all values together."""
    rows: int
    repeating: int
    """Rows that have a value twice."""

    @classmethod
    def of(cls, lists: pa.ChunkedArray) -> "_Members":
        values = pc.utf8_trim_whitespace(as_texts(pc.list_flatten(lists), "the column"))
        each = pa.table({"row": pc.list_parent_indices(lists), "value": values})
        each = each.filter(pc.fill_null(pc.not_equal(values, ""), False))
        counts = each.group_by(["row", "value"]).aggregate([([], "count_all")])
        twice = counts.filter(pc.greater(counts["count_all"], 1))
        return cls(
            pc.unique(counts["value"]), len(counts), len(lists), len(pc.unique(twice["row"]))
        )

    @property
    def per_row(self) -> float:
        return self.uses / self.rows

    @property
    def may_be_sets(self) -> bool:
        often = self.uses >= _USES * len(self.distinct) > 0
        return often and self.repeating <= _REPEATING * self.rows
