"""Splits that a column marks, value by value."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.data.selection import listed, require_columns
from motet.data.splits.base import FRACTION, Fractions, Numbers, Splits
from motet.data.splits.drawn import draw
from motet.data.strata import Strata
from motet.data.values import as_texts
from motet.problems import InputError, shown


def by_column(
    table: pa.Table,
    column: str,
    train: str,
    validation: str | None,
    test: str | None,
    seed: int,
    strata: Strata | None,
) -> Splits:
    """Split rows as a column marks them.

    Args:
        table: All rows.
        column: The column.
        train: Value that marks the training rows.
        validation: Value that marks the validation rows, "validation" if None.
        test: Value that marks the test rows, "test" if None.
        seed: Seed of validation rows that are drawn, as none are marked.
        strata: Classes of all rows, to draw from.

    Returns:
        The splits.

    Raises:
        InputError: If values are unknown or equal, or no row is marked for training.
    """
    require_columns(table, [column], "split")
    marks = marks_of(train, validation, test)
    texts = as_texts(table[column], f"column {column!r}")
    found = {each["values"]: each["counts"] for each in texts.value_counts().to_pylist()}
    check_marks(found, column, marks)
    train_rows, validation_rows, test_rows = (
        np.flatnonzero(pc.equal(texts, mark) if mark is not None else []).astype(np.int64)
        for mark in marks
    )
    if len(validation_rows):
        if strata is not None:
            raise InputError(
                f"column {column!r} marks the validation rows too, so stratify would have "
                "no effect; remove it, or the column",
                option="stratify",
            )
        return Splits(train_rows, validation_rows, test_rows)
    drawn = _drawn(train_rows, seed, strata)
    note = (
        f"column {column!r} marks no validation rows: {len(drawn.validation):,} of the "
        f"{len(train_rows):,} training rows ({100 * FRACTION:.0f} %, seed {seed}) are used for "
        "validation"
    )
    return Splits(drawn.train, drawn.validation, test_rows, (note, *drawn.notes))


def rows_marked(table: pa.Table, column: str, mark: str) -> tuple[Numbers, Numbers]:
    """Return the rows that a value marks, and all others.

    Raises:
        InputError: If no row is marked.
    """
    require_columns(table, [column], "split")
    texts = as_texts(table[column], f"column {column!r}")
    marked = pc.fill_null(pc.equal(texts, mark), False).to_numpy(zero_copy_only=False)
    if not marked.any():
        raise InputError(
            f"no row of column {column!r} is {mark!r}; set calibration to the value that marks "
            "these rows, or remove it",
            option="calibration",
        )
    return np.flatnonzero(marked), np.flatnonzero(~marked)


def _drawn(rows: Numbers, seed: int, strata: Strata | None) -> Splits:
    """Draw validation rows from the training rows."""
    if len(rows) < 2:
        raise InputError(
            f"found {len(rows)} training row, from which no validation rows can be drawn; expected "
            "at least 2, or rows marked for validation"
        )
    return draw(rows, Fractions(FRACTION, 0), seed, strata)


Marks = tuple[str, str | None, str | None]
"""The values that mark training, validation and test rows; None where nothing can."""


def marks_of(train: str, validation: str | None, test: str | None) -> Marks:
    """Return the values that mark splits, "validation" and "test" where none is given.

    Raises:
        InputError: If two are the same.
    """
    test = test or ("test" if validation != "test" else None)
    validation = validation or ("validation" if test != "validation" else None)
    marks = [mark for mark in (train, validation, test) if mark is not None]
    if len(set(marks)) < len(marks):
        raise InputError(
            f"train, validation and test are marked by {', '.join(marks)}; expected "
            "different values"
        )
    return train, validation, test


def check_marks(found: Mapping[str | None, int], column: str, given: Marks) -> None:
    """Check that every row is in a split, and some are in training.

    Args:
        found: How often the column has each value.
        column: Its name.
        given: The marks.

    Raises:
        InputError: If not.
    """
    marks, train = [mark for mark in given if mark is not None], given[0]
    strange = [value for value in found if value not in marks]
    if strange:
        words = ["missing values" if value is None else shown(value) for value in strange]
        raise InputError(
            f"column {column!r} has {listed(sorted(words))}, which mark no split; expected "
            f"{', '.join(map(repr, marks))}; remove those rows, or name the values with train, "
            "validation and test",
            option="column",
        )
    if not found.get(train):
        raise InputError(
            f"no row of column {column!r} is {train!r}; it has "
            f"{_tally(found)}; set train to the value that marks the training rows",
            option="train",
        )


def _tally(found: Mapping[str | None, int]) -> str:
    return listed(f"{value!r} {count:,} times" for value, count in found.items())
