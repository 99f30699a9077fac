"""Which rows train, which choose the best epoch, and which are kept for the last judgement.

Rows are drawn by the seed alone, or told apart by a column. Row order is kept within each part.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.selection import listed, require_columns
from motet.data.values import as_texts
from motet.problems import InputError, shown
from motet.seeds import derive

_FRACTION = 0.15

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, each ascending; no row is in two."""

    train: Rows
    validation: Rows
    test: Rows
    notes: tuple[str, ...] = ()
    """What was decided that nobody asked for, to be printed."""


def split(
    table: pa.Table,
    *,
    validation: float | str | None = None,
    test: float | str | None = None,
    seed: int = 0,
    column: str | None = None,
    train: str = "train",
) -> Split:
    """Part the rows of a table.

    Args:
        table: All N rows.
        validation: Fraction of the rows, 0.15 if left out; or, with ``column``, the value that
            marks the part, "validation" if left out.
        test: The same for the test part, "test" if left out; fraction 0 makes no test part.
        seed: Seed of whatever is drawn.
        column: Column that says which part a row belongs to; rows are drawn if left out.
        train: Value of ``column`` that marks the training part.

    Returns:
        The parts. Without any validation row in ``column``, 15 % of the training rows are drawn for
        it, and a note says so.

    Raises:
        InputError: If fractions do not fit, the training or validation part would be empty, or the
            column is not there, has missing values, or has values that mark no part.

    Example:
        >>> parts = split(pa.table({"x": range(10)}), validation=0.2, test=0.1, seed=0)
        >>> len(parts.train), len(parts.validation), len(parts.test)
        (7, 2, 1)
    """
    if column is not None:
        return _by_column(table, column, train, _marker(validation), _marker(test), seed)
    return _by_fraction(len(table), _fraction(validation), _fraction(test), seed)


def _by_fraction(rows: int, validation: float, test: float, seed: int) -> Split:
    if validation <= 0 or test < 0 or validation + test >= 1:
        raise InputError(
            f"split: found validation {validation:g} and test {test:g}, expected fractions whose "
            "sum is below 1, and validation above 0: it chooses the best epoch"
        )
    for_validation = max(1, round(rows * validation))
    for_test = max(1, round(rows * test)) if test else 0
    if for_validation + for_test >= rows:
        raise InputError(
            f"split: {rows} rows are too few for a training, a validation and a test part; expected "
            "at least one row in each"
        )
    order = _shuffled(rows, seed)
    ends = [for_test, for_test + for_validation]
    test_rows, validation_rows, train_rows = (np.sort(part) for part in np.split(order, ends))
    return Split(train_rows, validation_rows, test_rows)


def _by_column(
    table: pa.Table, column: str, train: str, validation: str | None, test: str | None, seed: int
) -> Split:
    require_columns(table, [column], "split")
    test = test or ("test" if validation != "test" else None)
    validation = validation or ("validation" if test != "validation" else None)
    marks = [mark for mark in (train, validation, test) if mark is not None]
    if len(set(marks)) < len(marks):
        raise InputError(
            f"split: train, validation and test are marked by {', '.join(marks)}; expected "
            "different values"
        )
    values = np.array(as_texts(table[column], f"split: column {column!r}").to_pylist(), object)
    _check_values(values, column, marks)
    parts = {mark: np.flatnonzero(values == mark).astype(np.int64) for mark in marks}
    train_rows = parts[train]
    if not len(train_rows):
        raise InputError(
            f"split: no row of column {column!r} is {train!r}; it has "
            f"{_tally(values)}; set train to the value that marks the training part"
        )
    nothing = np.array([], np.int64)
    notes = []
    test_rows = parts.get(test, nothing) if test is not None else nothing
    validation_rows = parts.get(validation, nothing) if validation is not None else nothing
    if not len(validation_rows):
        train_rows, validation_rows = _drawn(train_rows, seed)
        both = len(train_rows) + len(validation_rows)
        notes.append(
            f"column {column!r} marks no validation rows: {len(validation_rows):,} of the {both:,} "
            f"training rows ({_FRACTION:.0%}, seed {seed}) serve for validation".replace("%", " %")
        )
    return Split(train_rows, validation_rows, test_rows, tuple(notes))


def _drawn(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Take a validation part out of the training rows."""
    count = max(1, round(len(rows) * _FRACTION))
    if count >= len(rows):
        raise InputError(
            f"split: {len(rows)} training row is too few to take a validation part from; expected "
            "at least 2, or rows marked for validation"
        )
    order = _shuffled(len(rows), seed)
    return np.sort(rows[order[count:]]), np.sort(rows[order[:count]])


def _check_values(values: NDArray[np.object_], column: str, marks: list[str]) -> None:
    strange = sorted({value for value in values if value is not None and value not in marks})
    missing = sum(value is None for value in values)
    if strange or missing:
        found = [shown(value) for value in strange] + ["missing values"] * bool(missing)
        raise InputError(
            f"split: column {column!r} has {listed(found)}, which mark no part; expected "
            f"{', '.join(map(repr, marks))}; remove those rows, or name the values with train, "
            "validation and test"
        )


def _tally(values: NDArray[np.object_]) -> str:
    found, counts = np.unique(values.astype(str), return_counts=True)
    return listed(f"{value!r} {count:,} times" for value, count in zip(found, counts, strict=True))


def _marker(value: float | str | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InputError(
        f"split: found the fraction {value:g}, but a column is given; expected the value of the "
        "column that marks the part"
    )


def _fraction(value: float | str | None) -> float:
    if isinstance(value, str):
        raise InputError(
            f"split: found {value!r} without a column; give column too, or a fraction such as 0.15"
        )
    return _FRACTION if value is None else value


def _shuffled(count: int, seed: int) -> Rows:
    generator = np.random.Generator(np.random.PCG64(derive(seed, "split")))
    return generator.permutation(count).astype(np.int64)
