"""Which type of task each target seems to be, and why."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.data.bounds import count_bounds
from motet.data.inference.asked_types import asked_types
from motet.data.inference.guesses import (
    NAMES,
    Guess,
    are_whole,
    count_distinct,
    distinct_things,
    share_missing,
    spelling_numbers,
)
from motet.data.inference.images import infer_image
from motet.data.inference.queries import with_query
from motet.data.inference.sets import infer_set
from motet.data.list_texts import separator_of
from motet.data.row_names import RowName, row_name
from motet.data.row_numbers import FEWEST
from motet.data.selection import require_columns
from motet.data.targets.classes import MOST_CLASSES, MOST_FLOATS
from motet.data.values import as_matrix, described, is_list, is_number
from motet.data.word_labels import labelled_words, numbered_text, span_tags
from motet.problems import InputError, shown

_MOST_WHOLE_CLASSES = 20
"""Distinct whole numbers up to which a target may be a class."""
_ROWS_PER_CLASS = 5
"""Average number of rows that each of them needs to be one."""


def infer_tasks(
    table: pa.Table, targets: Sequence[str], name_row: RowName = row_name
) -> list[Guess]:
    """Guess the type of task of every target.

    Texts that spell numbers and bounds such as ">10" are regression; other texts and booleans are
    classes, and so are whole numbers with few distinct values; other numbers are regression; lists
    of BIO or BIOES tags are word labels, and so are lists with a text for each word of another
    column, and both as texts separated by spaces; other lists of texts, or of zeros and ones, are
    several labels at once, and so are texts of few values between separators (see `infer_set`).

    Args:
        table: The rows.
        targets: Columns to predict; a requested type follows a colon, "rooms:regression".
        name_row: Names a row in a reason; see `motet.data.row_names`.

    Returns:
        One guess per target, in their order.

    Raises:
        InputError: If a target is missing, given twice, or cannot be predicted, or a requested type
            is unknown; all are named.

    Example:
        >>> table = pa.table({"churn": ["yes", "no", "no"], "spend": [1.5, None, 7.25]})
        >>> for guess in infer_tasks(table, ["churn", "spend"]):
        ...     print(f"{guess.column}: {guess.type} ({guess.reason})")
        churn: classification (2 distinct texts)
        spend: regression (2 distinct numbers, 33 % missing)
    """
    asked = asked_types(targets, table)
    require_columns(table, asked, "targets")
    guesses = [_guess_target(table, name, each.type, name_row) for name, each in asked.items()]
    wrong = [
        f"{guess.column!r} ({_of_pixels(guess.column, table) or guess.reason})"
        for guess in guesses
        if guess.type is None
    ]
    if wrong:
        raise InputError(f"targets: cannot predict {', '.join(wrong)}; choose other columns")
    return [
        with_query(guess, table, asked[guess.column].query, asked)
        if guess.type == "ranking"
        else guess
        for guess in guesses
    ]


def _of_pixels(name: str, table: pa.Table) -> str:
    """Return what to write if a column holds images, which can be labels of pixels."""
    image = infer_image(name, table[name], table.schema)
    if image is None:
        return ""
    return f"{image.reason}; for a label of each pixel: {name}:segmentation, or :pixel_regression"


def _guess_target(table: pa.Table, name: str, asked: str | None, name_row: RowName) -> Guess:
    found, reason = _guess_task(table, name, name_row)
    column = table[name]
    if asked is None:
        reason = f"{reason}{_other_reading(column, found)}"
    elif column.null_count == len(column):
        return Guess(name, None, "no values")
    else:
        found, reason = asked, f"as asked; {reason}"
    return Guess(name, found, reason, _options(found, column))


def _options(found: str | None, column: pa.ChunkedArray) -> dict[str, Any]:
    if found == "regression" and count_bounds(column):
        return {"censored": "auto"}
    if found == "multi_label" and pa.types.is_string(column.type):
        separator = separator_of(column.drop_null())
        return {} if separator is None else {"separator": separator}
    return {}


def _other_reading(column: pa.ChunkedArray, found: str | None) -> str:
    """Name the other type that few whole numbers, or texts with separators, might have."""
    if found == "multi_label" and pa.types.is_string(column.type):
        return "; if each text is a class: classification"
    if not is_number(column.type) or not 2 < count_distinct(column) <= MOST_FLOATS:
        return ""
    if found == "classification":
        return "; if they are amounts: regression"
    return "; if they are classes: classification" if are_whole(column) else ""


def _guess_task(table: pa.Table, name: str, name_row: RowName) -> tuple[str | None, str]:
    column = table[name]
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return None, "no values"
    if is_list(kind):
        return _guess_list_task(table, name)
    if not (is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return None, f"{described(kind)}; turn them into numbers or texts to predict them"
    distinct, missing = count_distinct(column), share_missing(column)
    if distinct == 1:
        return None, f"the same value in every row that has one{missing}"
    if kinds.is_string(kind):
        scheme = span_tags(column)
        if scheme:
            return "sequence_labelling", f"{scheme.upper()} tags separated by spaces{missing}"
        words = labelled_words(table, name)
        if words:
            return "sequence_labelling", f"a text for each word of {words!r}{missing}"
        bounds = count_bounds(column)
        if bounds:
            return "regression", _seen_bounds(column, bounds, missing, name_row)
        several = infer_set(name, column, otherwise="")
        if several is not None:
            return "multi_label", several.reason
        seen = f"{distinct_things(distinct, 'text')}{missing}{spelling_numbers(column, name_row)}"
        labelled = len(column) - column.null_count
        if distinct == labelled:
            return None, f"{seen}, a different one in every row"
        if labelled >= FEWEST and distinct >= NAMES * labelled:
            return None, f"{seen} in {labelled:,} rows, as if they named them"
        if distinct > MOST_CLASSES:
            return None, f"{seen}; only up to {MOST_CLASSES:,} can be classes"
        return "classification", seen
    if kinds.is_boolean(kind):
        return "classification", f"{distinct_things(distinct, 'truth value')}{missing}"
    if kinds.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        return None, "infinite numbers; write missing values there"
    return _guess_number_task(column, distinct, missing)


def _seen_bounds(column: pa.ChunkedArray, bounds: int, missing: str, name_row: RowName) -> str:
    """Count the bounds, and name the first."""
    first = next(
        row for row, text in enumerate(column.to_pylist()) if text and text.strip()[0] in "<>≤≥"
    )
    where = f"first {shown(column[first].as_py())} in {name_row(first)}"
    return f"numbers, {bounds:,} of them bounds, {where}{missing}"


def _guess_number_task(
    column: pa.ChunkedArray, distinct: int, missing: str
) -> tuple[str | None, str]:
    whole = are_whole(column)
    seen = f"{distinct_things(distinct, 'whole number' if whole else 'number')}{missing}"
    labelled = len(column) - column.null_count
    few = max(2, min(_MOST_WHOLE_CLASSES, labelled // _ROWS_PER_CLASS))
    if whole and distinct <= few:
        return "classification", seen
    return "regression", seen


def _guess_list_task(table: pa.Table, name: str) -> tuple[str | None, str]:
    column = table[name]
    inner, missing = column.type.value_type, share_missing(column)
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
    words = numbered_text(table, name)
    if words:
        return "word_regression", f"a number for each word of {words!r}{missing}"
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
