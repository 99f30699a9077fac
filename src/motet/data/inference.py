"""What each column seems to be, and why: what kind of input, and which kind of task.

Every guess comes with what was seen, for people to read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.asked_types import asked_types
from motet.data.empty import spells_numbers
from motet.data.row_names import RowName, row_name
from motet.data.row_numbers import FEWEST, row_numbers
from motet.data.selection import listed, require_columns
from motet.data.targets.classes import MOST_CLASSES, MOST_FLOATS
from motet.data.values import as_matrix, described, is_list, is_number
from motet.data.word_labels import labelled_words, reason_to_leave_out, span_tags
from motet.problems import InputError, shown

_MOST_CATEGORIES = 1000
_MOST_WORDS = 3
_NAMES = 0.9
"""Share of distinct texts from which they are."""
_TEXTS = 0.5
"""Share of distinct texts above which they are no categories."""
_MIXED = 0.1
"""Share of numbers among texts from which both are counted."""
_MOST_WHOLE_CLASSES = 20
"""Distinct whole numbers up to which a target may be a class."""
_ROWS_PER_CLASS = 5
"""Rows that each of them has, on average, if it is."""

_SPLIT_NAMES = ("split", "fold", "part", "partition", "subset")
_MARKS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Guess:
    """What a column seems to be."""

    column: str
    type: str | None
    """Name of an input, or of a task; None if the column is better not used."""
    reason: str
    """What was seen, for people to read."""


@dataclass(frozen=True)
class SplitColumn:
    """A column that says which rows are for training."""

    column: str
    marks: Mapping[str, str] = field(default_factory=dict)
    """Values that mark "train", "validation" and "test"; those that there are."""


# Inputs --------------------------------------------------------------------------------------


def infer_inputs(
    table: pa.Table,
    exclude: Collection[str] = (),
    train: NDArray[np.int64] | None = None,
    name_row: RowName = row_name,
) -> list[Guess]:
    """Guess an input type for every column.

    Args:
        table: The rows.
        exclude: Columns to pass over: targets, the split column.
        train: Numbers of the training rows, which alone are looked at; all if left out.
        name_row: What names a row in a reason; see `motet.data.row_names`.

    Returns:
        One guess per column left, in the table's order.

    Example:
        >>> table = pa.table({"age": [30, 41], "job": ["cook", None], "spend": [1.5, 2.0]})
        >>> for guess in infer_inputs(table, exclude=["spend"]):
        ...     print(f"{guess.column}: {guess.type} ({guess.reason})")
        age: number (2 distinct whole numbers)
        job: category (1 distinct text, 50 % missing)
    """
    excluded = set(exclude)
    names = [name for name in table.column_names if name not in excluded]
    if train is None:
        return [Guess(name, *_guess_in(table, name, table[name], name_row)) for name in names]
    rows, looked_at = pa.array(train), train

    def name_of(place: int) -> str:
        return name_row(int(looked_at[place]))

    return [Guess(name, *_guess_in(table, name, table[name].take(rows), name_of)) for name in names]


def usable(guesses: Sequence[Guess]) -> dict[str, str]:
    """Return the type of each column that can be an input.

    Args:
        guesses: What `infer_inputs` found.

    Returns:
        Types by column.

    Raises:
        InputError: If there is none.
    """
    found = {guess.column: guess.type for guess in guesses if guess.type is not None}
    if not found:
        seen = listed(f"{guess.column}: {guess.reason}" for guess in guesses)
        raise InputError(
            "expected at least one column that the model can see, besides targets and the split, "
            f"found {seen or 'no other column'}"
        )
    return found


def _guess_in(
    table: pa.Table, name: str, column: pa.ChunkedArray, name_row: RowName
) -> tuple[str | None, str]:
    """Guess from those rows of a column that are for training."""
    whole = table[name]
    if column.null_count == len(column) and whole.null_count < len(whole):
        return None, "no values in the training rows"
    reason = row_numbers(whole) or reason_to_leave_out(table, name)
    return (None, reason) if reason else _guess(column, name_row)


def _guess(column: pa.ChunkedArray, name_row: RowName) -> tuple[str | None, str]:
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return None, "no values"
    if is_list(kind):
        return _guess_list(column)
    if not (is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return None, f"{described(kind)}; turn them into numbers or texts to use them"
    distinct = _distinct(column)
    if distinct == 1 and not column.null_count:
        return None, "the same value in every row"
    missing = _missing(column)
    if kinds.is_string(kind):
        return _guess_text(column, distinct, f"{missing}{_spelling_numbers(column, name_row)}")
    if kinds.is_boolean(kind):
        return "category", f"{_counted(distinct, 'truth value')}{missing}"
    if kinds.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        return "number", "infinite numbers; write missing values there"  # to be refused, not hidden
    whole = "whole " if kinds.is_integer(kind) else ""
    return "number", f"{_counted(distinct, f'{whole}number')}{missing}"


def _guess_text(column: pa.ChunkedArray, distinct: int, more: str) -> tuple[str | None, str]:
    seen = f"{_counted(distinct, 'text')}{more}"
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py()
    if words > _MOST_WORDS:
        return "text", f"{seen}, {words:.1f} words on average"
    rows = len(column) - column.null_count
    if rows >= FEWEST and distinct >= _NAMES * rows:
        each = f"a different text in each of {rows:,} rows"
        some = f"{distinct:,} different texts in {rows:,} rows"
        return None, f"{each if distinct == rows else some}, as if it named them{more}"
    many = distinct > _TEXTS * rows and rows >= FEWEST
    return "text" if many or distinct > _MOST_CATEGORIES else "category", seen


def _guess_list(column: pa.ChunkedArray) -> tuple[str | None, str]:
    if pa.types.is_string(column.type.value_type):
        return "text", f"lists of words{_missing(column)}"
    if not is_number(column.type.value_type):
        return None, f"{described(column.type)}; only lists of numbers or words can be used"
    try:
        matrix = as_matrix(column, "the column")
    except InputError:
        return None, "lists of numbers of different lengths; only one length can be used"
    if np.isinf(matrix).any():
        return "vector", "lists with infinite numbers; write missing values there"
    if np.isnan(matrix).all(axis=0).any():
        return None, "lists of numbers, some of which are missing in every row"
    return "vector", f"lists of {matrix.shape[1]:,} numbers{_missing(column)}"


# Tasks ---------------------------------------------------------------------------------------


def infer_tasks(
    table: pa.Table, targets: Sequence[str], name_row: RowName = row_name
) -> list[Guess]:
    """Guess the type of task of every target.

    Texts and truth values are classes, and so are whole numbers of which there are few; other
    numbers are regression; lists of BIO or BIOES tags label words, and so do lists with a text for
    each word of another column, and both as texts separated by spaces; other lists of texts, or of
    zeros and ones, are several labels at once.

    Args:
        table: The rows.
        targets: Columns to predict; a type asked for stands after a colon, "rooms:regression".
        name_row: What names a row in a reason; see `motet.data.row_names`.

    Returns:
        One guess per target, in their order.

    Raises:
        InputError: If a target is not there, is there twice, or cannot be predicted, or the type
            asked for is unknown; all are named.

    Example:
        >>> table = pa.table({"churn": ["yes", "no", "no"], "spend": [1.5, None, 7.25]})
        >>> for guess in infer_tasks(table, ["churn", "spend"]):
        ...     print(f"{guess.column}: {guess.type} ({guess.reason})")
        churn: classification (2 distinct texts)
        spend: regression (2 distinct numbers, 33 % missing)
    """
    asked = asked_types(targets, table)
    require_columns(table, asked, "targets")
    guesses = [_guess_target(table, name, kind, name_row) for name, kind in asked.items()]
    wrong = [f"{guess.column!r} ({guess.reason})" for guess in guesses if guess.type is None]
    if wrong:
        raise InputError(f"targets: cannot predict {', '.join(wrong)}; choose other columns")
    return guesses


def _guess_target(table: pa.Table, name: str, asked: str | None, name_row: RowName) -> Guess:
    found, reason = _guess_task(table, name, name_row)
    column = table[name]
    if asked is None:
        return Guess(name, found, f"{reason}{_other_reading(column, found)}")
    if column.null_count == len(column):
        return Guess(name, None, "no values")
    return Guess(name, asked, f"as asked; {reason}")


def _other_reading(column: pa.ChunkedArray, found: str | None) -> str:
    """Name the type that few whole numbers might be of, too."""
    if not is_number(column.type) or not 2 < _distinct(column) <= MOST_FLOATS:
        return ""
    if found == "classification":
        return "; if they are amounts: regression"
    return "; if they are classes: classification" if _are_whole(column) else ""


def _guess_task(table: pa.Table, name: str, name_row: RowName) -> tuple[str | None, str]:
    column = table[name]
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return None, "no values"
    if is_list(kind):
        return _guess_list_task(table, name)
    if not (is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return None, f"{described(kind)}; turn them into numbers or texts to predict them"
    distinct, missing = _distinct(column), _missing(column)
    if distinct == 1:
        return None, f"the same value in every row that has one{missing}"
    if kinds.is_string(kind):
        scheme = span_tags(column)
        if scheme:
            return "sequence_labelling", f"{scheme.upper()} tags separated by spaces{missing}"
        words = labelled_words(table, name)
        if words:
            return "sequence_labelling", f"a text for each word of {words!r}{missing}"
        seen = f"{_counted(distinct, 'text')}{missing}{_spelling_numbers(column, name_row)}"
        labelled = len(column) - column.null_count
        if distinct == labelled:
            return None, f"{seen}, a different one in every row"
        if labelled >= FEWEST and distinct >= _NAMES * labelled:
            return None, f"{seen} in {labelled:,} rows, as if they named them"
        if distinct > MOST_CLASSES:
            return None, f"{seen}; only up to {MOST_CLASSES:,} can be classes"
        return "classification", seen
    if kinds.is_boolean(kind):
        return "classification", f"{_counted(distinct, 'truth value')}{missing}"
    if kinds.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        return None, "infinite numbers; write missing values there"
    return _guess_number_task(column, distinct, missing)


def _guess_number_task(
    column: pa.ChunkedArray, distinct: int, missing: str
) -> tuple[str | None, str]:
    whole = _are_whole(column)
    seen = f"{_counted(distinct, 'whole number' if whole else 'number')}{missing}"
    labelled = len(column) - column.null_count
    few = max(2, min(_MOST_WHOLE_CLASSES, labelled // _ROWS_PER_CLASS))
    if whole and distinct <= few:
        return "classification", seen
    return "regression", seen


def _are_whole(column: pa.ChunkedArray) -> bool:
    """Tell whether all numbers are whole; a frame with missing values stores them as 3.0."""
    return bool(pc.all(pc.equal(pc.floor(column), column)).as_py())


def _guess_list_task(table: pa.Table, name: str) -> tuple[str | None, str]:
    column = table[name]
    inner, missing = column.type.value_type, _missing(column)
    if pa.types.is_string(inner):
        scheme = span_tags(column)
        if scheme:
            return "sequence_labelling", f"lists of {scheme.upper()} tags{missing}"
        words = labelled_words(table, name)
        if words:
            return "sequence_labelling", f"a text for each word of {words!r}{missing}"
        return "multi_label", f"lists of texts{missing}"
    if not is_number(inner) and not pa.types.is_boolean(inner):
        return None, f"{described(column.type)}; only lists of texts or numbers can be predicted"
    try:
        values = as_matrix(column, "the column")
    except InputError:
        return None, "lists of numbers of different lengths; only one length can be used"
    known, width = values[~np.isnan(values)], values.shape[1]
    if np.isinf(known).any():
        return None, "lists with infinite numbers; write missing values there"
    if np.isin(known, (0, 1)).all():
        return "multi_label", f"lists of {width:,} zeros and ones{missing}"
    return "regression", f"lists of {width:,} numbers{missing}"


# Split ---------------------------------------------------------------------------------------


def infer_split(table: pa.Table, exclude: Collection[str] = ()) -> SplitColumn | None:
    """Find a column that says which rows are for training, validation and test.

    Args:
        table: The rows.
        exclude: Columns to pass over: targets.

    Returns:
        A column named split, fold, part, partition or subset whose values mark nothing but parts,
        among them training rows; None if there is none.

    Example:
        >>> infer_split(pa.table({"Split": ["train", "val", "train"]}))
        SplitColumn(column='Split', marks={'train': 'train', 'validation': 'val'})
    """
    for name in table.column_names:
        column = table[name]
        known = name.lower() in _SPLIT_NAMES and name not in exclude
        if known and pa.types.is_string(column.type) and not column.null_count:
            values = column.unique().to_pylist()
            marks = {
                part: value
                for part, words in _MARKS.items()
                for value in values
                if value.lower() in words
            }
            if "train" in marks and 1 < len(marks) == len(values):
                return SplitColumn(name, marks)
    return None


# Words ---------------------------------------------------------------------------------------


def _distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column, mode="only_valid").as_py())


def _counted(count: int, thing: str) -> str:
    return f"{count:,} distinct {thing}{'' if count == 1 else 's'}"


def _spelling_numbers(column: pa.ChunkedArray, name_row: RowName) -> str:
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


def _missing(column: pa.ChunkedArray) -> str:
    if not column.null_count:
        return ""
    share = 100 * column.null_count / len(column)
    return f", {share:.0f} % missing" if share >= 0.5 else f", {column.null_count:,} missing"
