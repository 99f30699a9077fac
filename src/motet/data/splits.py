"""Which rows train, which choose the best epoch, and which are kept for the last judgement.

Rows are drawn by the seed alone, class by class if asked, or told apart by a column. Row order is
kept within each part. What leaves the training or validation part empty is an `InputError`, and so
is a row in no part.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.selection import listed, require_columns
from motet.data.strata import Strata, find_strata
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
    stratify: str | None = None,
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
        stratify: Column whose classes are drawn one by one, so that all parts have the same shares
            of them; of a column of many numbers, its tenths.

    Returns:
        The parts. Without any validation row in ``column``, 15 % of the training rows are drawn for
        it, and a note says so.

    Example:
        >>> parts = split(pa.table({"x": range(10)}), validation=0.2, test=0.1, seed=0)
        >>> len(parts.train), len(parts.validation), len(parts.test)
        (7, 2, 1)
    """
    strata = None if stratify is None else find_strata(table, stratify)
    if column is not None:
        return _by_column(table, column, train, _marker(validation), _marker(test), seed, strata)
    fractions = _Fractions(_fraction(validation), _fraction(test))
    if strata is not None:
        return _by_class(strata, np.arange(len(table)), fractions, seed)
    return _by_fraction(np.arange(len(table)), fractions, seed)


@dataclass(frozen=True)
class _Fractions:
    """Shares of the rows that are for validation and test, checked."""

    validation: float
    test: float

    def __post_init__(self) -> None:
        if self.validation <= 0 or self.test < 0 or self.validation + self.test >= 1:
            raise InputError(
                f"split: found validation {self.validation:g} and test {self.test:g}, expected "
                "fractions whose sum is below 1, and validation above 0: it chooses the best epoch"
            )

    @property
    def parts(self) -> int:
        return 3 if self.test else 2


def _by_fraction(rows: Rows, fractions: _Fractions, seed: int) -> Split:
    for_validation = _share(len(rows), fractions.validation)
    for_test = _share(len(rows), fractions.test) if fractions.test else 0
    if for_validation + for_test >= len(rows):
        raise InputError(
            f"split: {len(rows)} rows are too few for training, validation and test parts; "
            "expected at least one row in each"
        )
    order = rows[_shuffled(len(rows), seed)]
    return _cut(order, for_validation, for_test)


def _cut(order: Rows, for_validation: int, for_test: int) -> Split:
    test, validation, train = np.split(order, [for_test, for_test + for_validation])
    return Split(np.sort(train), np.sort(validation), np.sort(test))


def _by_class(strata: Strata, rows: Rows, fractions: _Fractions, seed: int) -> Split:
    """Part the rows of each class by the fractions; a class too small for it trains first."""
    order = rows[_shuffled(len(rows), seed)]
    order = order[np.argsort(strata.codes[order], kind="stable")]
    ends = np.flatnonzero(np.diff(strata.codes[order])) + 1
    parts = [_cut(each, *_counts(len(each), fractions)) for each in np.split(order, ends)]
    train, validation, test = (
        np.sort(np.concatenate([getattr(part, name) for part in parts]))
        for name in ("train", "validation", "test")
    )
    if not len(validation) or (fractions.test and not len(test)):
        raise InputError(
            f"split: no class of column {strata.column!r} has the {fractions.parts} rows that one "
            "in each part needs; stratify by a column with fewer values, or remove stratify"
        )
    small = [
        f"{strata.names[strata.codes[each[0]]]} ({len(each)})"
        for each in np.split(order, ends)
        if len(each) < fractions.parts
    ]
    notes: tuple[str, ...] = ()
    if small:
        notes = (
            f"column {strata.column!r}: {listed(small)} have fewer rows than the "
            f"{fractions.parts} parts, so some parts have none of them",
        )
    return Split(train, validation, test, notes)


def _counts(rows: int, fractions: _Fractions) -> tuple[int, int]:
    """Return how many of a class's rows are for validation and for test."""
    if rows < fractions.parts:
        return rows - 1, 0
    validation = max(1, round(rows * fractions.validation))
    test = max(1, round(rows * fractions.test)) if fractions.test else 0
    while validation + test >= rows:  # at least one row trains
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return validation, test


def _by_column(
    table: pa.Table,
    column: str,
    train: str,
    validation: str | None,
    test: str | None,
    seed: int,
    strata: Strata | None,
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
    texts = as_texts(table[column], f"split: column {column!r}")
    found = {each["values"]: each["counts"] for each in texts.value_counts().to_pylist()}
    _check_values(found, column, marks)
    parts = {mark: np.flatnonzero(pc.equal(texts, mark)).astype(np.int64) for mark in marks}
    train_rows = parts[train]
    if not len(train_rows):
        raise InputError(
            f"split: no row of column {column!r} is {train!r}; it has "
            f"{_tally(found)}; set train to the value that marks the training part"
        )
    nothing = np.array([], np.int64)
    test_rows = parts.get(test, nothing) if test is not None else nothing
    validation_rows = parts.get(validation, nothing) if validation is not None else nothing
    if len(validation_rows):
        if strata is not None:
            raise InputError(
                f"split: column {column!r} marks the validation rows too, so stratify would have "
                "no effect; remove it, or the column"
            )
        return Split(train_rows, validation_rows, test_rows)
    drawn = _drawn(train_rows, seed, strata)
    note = (
        f"column {column!r} marks no validation rows: {len(drawn.validation):,} of the "
        f"{len(train_rows):,} training rows ({100 * _FRACTION:.0f} %, seed {seed}) serve for "
        "validation"
    )
    return Split(drawn.train, drawn.validation, test_rows, (note, *drawn.notes))


def _drawn(rows: Rows, seed: int, strata: Strata | None) -> Split:
    """Take a validation part out of the training rows."""
    if len(rows) < 2:
        raise InputError(
            f"split: {len(rows)} training row is too few to take a validation part from; expected "
            "at least 2, or rows marked for validation"
        )
    fractions = _Fractions(_FRACTION, 0)
    if strata is not None:
        return _by_class(strata, rows, fractions, seed)
    return _by_fraction(rows, fractions, seed)


def _check_values(found: dict[str | None, int], column: str, marks: list[str]) -> None:
    strange = [value for value in found if value not in marks]
    if strange:
        words = ["missing values" if value is None else shown(value) for value in strange]
        raise InputError(
            f"split: column {column!r} has {listed(sorted(words))}, which mark no part; expected "
            f"{', '.join(map(repr, marks))}; remove those rows, or name the values with train, "
            "validation and test"
        )


def _tally(found: dict[str | None, int]) -> str:
    return listed(f"{value!r} {count:,} times" for value, count in found.items())


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


def _share(rows: int, fraction: float) -> int:
    return max(1, int(rows * fraction + 1e-9))  # 0.29 of 100 is 29, not 28


def _shuffled(count: int, seed: int) -> Rows:
    generator = np.random.Generator(np.random.PCG64(derive(seed, "split")))
    return generator.permutation(count).astype(np.int64)
