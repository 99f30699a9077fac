"""The splits of the rows: training, validation (chooses the best epoch), and the final test.

Rows are drawn by the seed alone, stratified by class on request, or marked by a column. Row order
is kept within each split. An empty training or validation split is an `InputError`, and so is a row
in no split.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.apportioning import apportion, smallest_stratum
from motet.data.selection import listed, require_columns
from motet.data.strata import Strata, find_strata
from motet.data.values import as_texts
from motet.problems import InputError, owned, shown
from motet.seeds import derive

_FRACTION = 0.15
_NAMED = 5
"""Classes that a note names."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Splits:
    """Row numbers of the three splits, each ascending; no row is in two."""

    train: Numbers
    validation: Numbers
    test: Numbers
    notes: tuple[str, ...] = ()
    """What was decided by default, to be printed."""


def split(
    table: pa.Table,
    *,
    validation: float | str | None = None,
    test: float | str | None = None,
    seed: int = 0,
    column: str | None = None,
    train: str = "train",
    stratify: str | None = None,
) -> Splits:
    """Split the rows of a table.

    Args:
        table: All N rows.
        validation: Fraction of the rows, 0.15 if left out; or, with ``column``, the value that
            marks the validation rows, "validation" if left out.
        test: The same for the test rows, "test" if left out; fraction 0 makes no test set.
        seed: Seed of random splits.
        column: Column that marks the split of each row; rows are drawn at random if left out.
        train: Value of ``column`` that marks the training rows.
        stratify: Column whose classes have the same share in all splits; of a column of many
            numbers, up to ten ranges. Classes with too few rows for one in each split are split
            together, and a note names them.

    Returns:
        The splits. Without any validation row in ``column``, 15 % of the training rows are drawn
        for validation, and a note reports it.

    Example:
        >>> splits = split(pa.table({"x": range(10)}), validation=0.2, test=0.1, seed=0)
        >>> len(splits.train), len(splits.validation), len(splits.test)
        (7, 2, 1)
    """
    with owned("split"):
        strata = None if stratify is None else find_strata(table, stratify)
        if column is not None:
            marks = _marker(validation, "validation"), _marker(test, "test")
            return _by_column(table, column, train, *marks, seed, strata)
        fractions = _Fractions(_fraction(validation, "validation"), _fraction(test, "test"))
        if strata is not None:
            return _by_class(strata, np.arange(len(table)), fractions, seed)
        return _by_fraction(np.arange(len(table)), fractions, seed)


@dataclass(frozen=True)
class _Fractions:
    """Shares of the rows for validation and test, checked."""

    validation: float
    test: float

    def __post_init__(self) -> None:
        if not (self.validation > 0 and self.test >= 0 and self.validation + self.test < 1):
            raise InputError(
                f"found validation {self.validation:g} and test {self.test:g}, expected "
                "fractions whose sum is below 1, and validation above 0: it chooses the best epoch"
            )

    def counts(self, rows: int) -> NDArray[np.int64]:
        """Return the numbers of rows for training, validation and, if there is one, test."""
        held_out = [self.validation, self.test] if self.test else [self.validation]
        counts = [max(1, round(rows * fraction)) for fraction in held_out]
        _require_training_rows(rows, sum(counts))
        return np.array([rows - sum(counts), *counts])


def _require_training_rows(rows: int, held_out: int) -> None:
    if held_out >= rows:
        raise InputError(
            f"{rows} rows are too few for training, validation and test splits; "
            "expected at least one row in each"
        )


def _by_fraction(rows: Numbers, fractions: _Fractions, seed: int) -> Splits:
    for_validation = _share(len(rows), fractions.validation)
    for_test = _share(len(rows), fractions.test) if fractions.test else 0
    _require_training_rows(len(rows), for_validation + for_test)
    order = rows[_shuffled(len(rows), seed)]
    return _cut(order, for_validation, for_test)


def _cut(order: Numbers, for_validation: int, for_test: int) -> Splits:
    test, validation, train = np.split(order, [for_test, for_test + for_validation])
    return Splits(np.sort(train), np.sort(validation), np.sort(test))


def _by_class(strata: Strata, rows: Numbers, fractions: _Fractions, seed: int) -> Splits:
    """Draw from each class by the fractions, and from all classes that are too small together."""
    splits = fractions.counts(len(rows))
    codes = strata.codes[rows]
    sizes = np.bincount(codes, minlength=len(strata.names))
    fewest = smallest_stratum(sizes[sizes > 0], splits)
    if fewest is None:
        raise InputError(
            f"column {strata.column!r} cannot be stratified: its classes, or the splits (of "
            f"{', '.join(map(str, splits))} rows), have too few rows for one of each class in each "
            "split; stratify by a column with fewer values, hold out more rows, or remove stratify",
            option="stratify",
        )
    small = sizes < fewest
    order = _shuffled(len(rows), seed)
    codes = codes[order]
    _, drawn = np.unique(np.where(small[codes], -1, codes), return_inverse=True)
    least = np.ones(drawn.max() + 1, np.int64)
    least[drawn[small[codes]]] = 0
    held_out = np.ones(len(rows), np.int64)  # a class with one row trains
    held_out[np.unique(codes, return_index=True)[1]] = 0
    order = rows[order[np.lexsort((held_out, drawn))]]
    counts = apportion(np.bincount(drawn), splits, least, derive(seed, "split strata"))
    places = np.tile(np.arange(len(splits)), len(counts)).repeat(counts.ravel())
    train, validation, *test = (np.sort(order[places == place]) for place in range(len(splits)))
    return Splits(train, validation, test[0] if test else rows[:0], _pooled(strata, sizes * small))


def _pooled(strata: Strata, sizes: NDArray[np.int64]) -> tuple[str, ...]:
    """Return a note with the classes that were drawn from together."""
    found = [f"{name} ({size})" for name, size in zip(strata.names, sizes, strict=True) if size]
    if not found:
        return ()
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return (
        f"column {strata.column!r}: too few rows for one in each split have "
        f"{', '.join(found[:_NAMED])}{more}; their {sizes.sum():,} rows are split together",
    )


def _by_column(
    table: pa.Table,
    column: str,
    train: str,
    validation: str | None,
    test: str | None,
    seed: int,
    strata: Strata | None,
) -> Splits:
    require_columns(table, [column], "split")
    test = test or ("test" if validation != "test" else None)
    validation = validation or ("validation" if test != "validation" else None)
    marks = [mark for mark in (train, validation, test) if mark is not None]
    if len(set(marks)) < len(marks):
        raise InputError(
            f"train, validation and test are marked by {', '.join(marks)}; expected "
            "different values"
        )
    texts = as_texts(table[column], f"column {column!r}")
    found = {each["values"]: each["counts"] for each in texts.value_counts().to_pylist()}
    _check_values(found, column, marks)
    marked = {mark: np.flatnonzero(pc.equal(texts, mark)).astype(np.int64) for mark in marks}
    train_rows = marked[train]
    if not len(train_rows):
        raise InputError(
            f"no row of column {column!r} is {train!r}; it has "
            f"{_tally(found)}; set train to the value that marks the training rows",
            option="train",
        )
    nothing = np.array([], np.int64)
    test_rows = marked.get(test, nothing) if test is not None else nothing
    validation_rows = marked.get(validation, nothing) if validation is not None else nothing
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
        f"{len(train_rows):,} training rows ({100 * _FRACTION:.0f} %, seed {seed}) are used for "
        "validation"
    )
    return Splits(drawn.train, drawn.validation, test_rows, (note, *drawn.notes))


def _drawn(rows: Numbers, seed: int, strata: Strata | None) -> Splits:
    """Draw validation rows from the training rows."""
    if len(rows) < 2:
        raise InputError(
            f"found {len(rows)} training row, from which no validation rows can be drawn; expected "
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
            f"column {column!r} has {listed(sorted(words))}, which mark no split; expected "
            f"{', '.join(map(repr, marks))}; remove those rows, or name the values with train, "
            "validation and test",
            option="column",
        )


def _tally(found: dict[str | None, int]) -> str:
    return listed(f"{value!r} {count:,} times" for value, count in found.items())


def _marker(value: float | str | None, option: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InputError(
        f"found the fraction {value:g}, but a column is given; expected the value of the "
        "column that marks the rows",
        option=option,
    )


def _fraction(value: float | str | None, option: str) -> float:
    if isinstance(value, str):
        raise InputError(
            f"found {value!r} without a column; give column too, or a fraction such as 0.15",
            option=option,
        )
    return _FRACTION if value is None else value


def _share(rows: int, fraction: float) -> int:
    return max(1, int(rows * fraction + 1e-9))  # 0.29 of 100 is 29, not 28


def _shuffled(count: int, seed: int) -> Numbers:
    generator = np.random.Generator(np.random.PCG64(derive(seed, "split")))
    return generator.permutation(count).astype(np.int64)
