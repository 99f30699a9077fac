"""What each column seems to be, and why: what kind of input, and which kind of task.

Every guess comes with what was seen, for people to read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.selection import listed, require_columns
from motet.data.targets.classes import MOST_CLASSES
from motet.data.values import as_matrix, described, is_list, is_number
from motet.problems import InputError, shown
from motet.tags import find_scheme

_MOST_CATEGORIES = 1000
_MOST_WORDS = 3
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_IDENTIFIER_ROWS = 20
"""Rows from which texts that all differ are taken for names of the rows."""
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
    table: pa.Table, exclude: Collection[str] = (), train: NDArray[np.int64] | None = None
) -> list[Guess]:
    """Guess an input type for every column.

    Args:
        table: The rows.
        exclude: Columns to pass over: targets, the split column.
        train: Numbers of the training rows, which alone are looked at; all if left out.

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
        return [Guess(name, *_guess(table[name])) for name in names]
    rows = pa.array(train)
    return [Guess(name, *_guess_from(table[name].take(rows), table[name])) for name in names]


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


def _guess_from(train: pa.ChunkedArray, whole: pa.ChunkedArray) -> tuple[str | None, str]:
    if train.null_count == len(train) and whole.null_count < len(whole):
        return None, "no values in the training rows"
    return _guess(train)


def _guess(column: pa.ChunkedArray) -> tuple[str | None, str]:
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
        return _guess_text(column, distinct, missing)
    if kinds.is_boolean(kind):
        return "category", f"{_counted(distinct, 'truth value')}{missing}"
    if kinds.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        return "number", "infinite numbers; write missing values there"  # to be refused, not hidden
    whole = "whole " if kinds.is_integer(kind) else ""
    return "number", f"{_counted(distinct, f'{whole}number')}{missing}"


def _guess_text(column: pa.ChunkedArray, distinct: int, missing: str) -> tuple[str | None, str]:
    seen = f"{_counted(distinct, 'text')}{missing}{_spelling_numbers(column)}"
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py()
    if words > _MOST_WORDS:
        return "text", f"{seen}, {words:.1f} words on average"
    if distinct == len(column) >= _IDENTIFIER_ROWS:
        named = f"a different text in each of {distinct:,} rows, as if it named them"
        return None, f"{named}{_spelling_numbers(column)}"
    return "text" if distinct > _MOST_CATEGORIES else "category", seen


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


def infer_tasks(table: pa.Table, targets: Sequence[str]) -> list[Guess]:
    """Guess the type of task of every target.

    Texts and truth values are classes, and so are whole numbers of which there are few; other
    numbers are regression; lists of BIO or BIOES tags label words; other lists of texts, or of
    zeros and ones, are several labels at once.

    Args:
        table: The rows.
        targets: Columns to predict.

    Returns:
        One guess per target, in their order.

    Raises:
        InputError: If a target is not there, is there twice, or cannot be predicted; all are named.

    Example:
        >>> table = pa.table({"churn": ["yes", "no", "no"], "spend": [1.5, None, 7.25]})
        >>> for guess in infer_tasks(table, ["churn", "spend"]):
        ...     print(f"{guess.column}: {guess.type} ({guess.reason})")
        churn: classification (2 distinct texts)
        spend: regression (2 distinct numbers, 33 % missing)
    """
    require_columns(table, targets, "targets")
    if not targets or len(set(targets)) < len(targets):
        raise InputError(
            f"found the targets {', '.join(targets) or 'none'}, expected at least one column, none "
            "twice"
        )
    guesses = [Guess(name, *_guess_task(table[name])) for name in targets]
    wrong = [f"{guess.column!r} ({guess.reason})" for guess in guesses if guess.type is None]
    if wrong:
        raise InputError(f"targets: cannot predict {', '.join(wrong)}; choose other columns")
    return guesses


def _guess_task(column: pa.ChunkedArray) -> tuple[str | None, str]:
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return None, "no values"
    if is_list(kind):
        return _guess_list_task(column)
    if not (is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return None, f"{described(kind)}; turn them into numbers or texts to predict them"
    distinct, missing = _distinct(column), _missing(column)
    if distinct == 1:
        return None, f"the same value in every row that has one{missing}"
    if kinds.is_string(kind):
        seen = f"{_counted(distinct, 'text')}{missing}{_spelling_numbers(column)}"
        if distinct == len(column) - column.null_count:
            return None, f"{seen}, a different one in every row"
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
    # a frame stores whole numbers with missing values as 3.0
    whole = bool(pc.all(pc.equal(pc.floor(column), column)).as_py())
    seen = f"{_counted(distinct, 'whole number' if whole else 'number')}{missing}"
    labelled = len(column) - column.null_count
    few = max(2, min(_MOST_WHOLE_CLASSES, labelled // _ROWS_PER_CLASS))
    if whole and distinct <= few:
        return "classification", seen
    return "regression", seen


def _guess_list_task(column: pa.ChunkedArray) -> tuple[str | None, str]:
    inner, missing = column.type.value_type, _missing(column)
    if pa.types.is_string(inner):
        tags = pc.unique(pc.list_flatten(column).drop_null()).to_pylist()
        scheme = find_scheme(tags)
        if scheme != "plain" and "O" in tags:  # B and S alone may be labels like any other
            return "sequence_labelling", f"lists of {scheme.upper()} tags{missing}"
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


def _spelling_numbers(column: pa.ChunkedArray) -> str:
    """Say that most texts spell numbers, and which does not: one typing error hides a number."""
    texts = column.drop_null()
    spelling = pc.match_substring_regex(texts, _NUMBER)
    count = pc.sum(spelling).as_py()
    if 2 * count <= len(texts):
        return ""
    if count == len(texts):
        return ", all of which spell numbers"
    other = texts.filter(pc.invert(spelling))[0].as_py()
    return f", most of which spell numbers, but {shown(other)} does not"


def _missing(column: pa.ChunkedArray) -> str:
    if not column.null_count:
        return ""
    share = 100 * column.null_count / len(column)
    return f", {share:.0f} % missing" if share >= 0.5 else f", {column.null_count:,} missing"
