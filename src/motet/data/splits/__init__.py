"""The splits of the rows: training, validation (chooses the best epoch), and the final test.

Rows are drawn by the seed alone, class by class or in whole groups on request, cut in the order of
time, divided into folds, or marked by a column. Row order is kept within each split. An empty
training or validation split is an `InputError`, and so is a row in no split.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.splits.base import Fractions, Splits, fraction, marker
from motet.data.splits.drawn import draw
from motet.data.splits.folds import by_fold
from motet.data.splits.grouped import by_group
from motet.data.splits.marked import by_column, rows_marked
from motet.data.splits.timed import by_time
from motet.data.strata import find_strata
from motet.problems import InputError, owned

__all__ = ["Splits", "split"]


def split(
    table: pa.Table,
    *,
    validation: float | str | None = None,
    test: float | str | None = None,
    seed: int = 0,
    column: str | None = None,
    train: str = "train",
    stratify: str | None = None,
    group: str | None = None,
    time: str | None = None,
    folds: int | None = None,
    fold: int | None = None,
    labels: Sequence[str] = (),
    calibration: float | str | None = None,
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
        group: Column that names the group of each row; no group is in two splits.
        time: Column with the time of each row; the latest rows are the test split.
        folds: Number of folds, each the test split of one run.
        fold: The fold that is the test split, from 1 on; the first if left out.
        labels: Columns whose values and classes keep their shares when groups are split.
        calibration: Fraction of the rows that neither train nor choose the epoch, or the value that
            marks them; none if left out. They are drawn as the validation rows are; by time they
            are the latest before the test split.

    Returns:
        The splits. Without any validation row in ``column``, 15 % of the training rows are drawn
        for validation, and a note reports it.

    Raises:
        InputError: If options do not fit the rows or each other.

    Example:
        >>> splits = split(pa.table({"x": range(10)}), validation=0.2, test=0.1, seed=0)
        >>> len(splits.train), len(splits.validation), len(splits.test)
        (7, 2, 1)
    """
    options: dict[str, Any] = {"seed": seed, "stratify": stratify, "group": group, "time": time}
    options |= {"labels": labels}
    whole: dict[str, Any] = {
        "column": column,
        "train": train,
        "folds": folds,
        "fold": fold,
        "test": test,
    }
    with owned("split"):
        if calibration is None:
            return _split(table, validation, **options, **whole)
        if column is not None:
            marked, rest = rows_marked(table, column, marker(calibration, "calibration") or "")
            found = _split(table.take(pa.array(rest)), validation, **options, **whole)
            train_rows, rows, test_rows = found.train, found.validation, found.test
            return Splits(rest[train_rows], rest[rows], rest[test_rows], found.notes, marked)
        held_out, own = fraction(validation, "validation"), fraction(calibration, "calibration")
        if own <= 0:
            raise InputError(f"found {own:g}; expected a number above 0", option="calibration")
        found = _split(table, held_out + own, **options, **whole)
        rows, share = found.validation, own / (held_out + own)
        parts = _split(table.take(pa.array(rows)), share, **options, test=0.0)
        notes = (each.replace("validation", "calibration") for each in parts.notes)
        return Splits(
            found.train,
            rows[parts.train],
            found.test,
            (*found.notes, *notes),
            rows[parts.validation],
        )


def _split(
    table: pa.Table,
    validation: float | str | None,
    *,
    test: float | str | None,
    seed: int,
    stratify: str | None,
    group: str | None,
    time: str | None,
    labels: Sequence[str],
    column: str | None = None,
    train: str = "train",
    folds: int | None = None,
    fold: int | None = None,
) -> Splits:
    """Split rows into three; see `split`."""
    strata = None if stratify is None else find_strata(table, stratify)
    if column is not None:
        marks = marker(validation, "validation"), marker(test, "test")
        return by_column(table, column, train, *marks, seed, strata)
    held_out = fraction(validation, "validation")
    kept = [*labels] if stratify is None else [*labels, stratify]
    if folds is not None:
        return by_fold(
            table, folds, fold or 1, held_out, seed, group=group, strata=strata, labels=kept
        )
    fractions = Fractions(held_out, fraction(test, "test"))
    if group is not None:
        return by_group(table, group, fractions, seed, kept)
    if time is not None:
        return by_time(table, time, fractions)
    return draw(np.arange(len(table)), fractions, seed, strata)
