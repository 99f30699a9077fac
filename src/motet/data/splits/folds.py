"""Folds: every row is in the test split of exactly one of K runs."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.apportioning import apportion
from motet.data.splits.base import Fractions, Numbers, Splits, shuffled
from motet.data.splits.drawn import draw
from motet.data.splits.grouped import assign, find_groups, measures
from motet.data.strata import Strata
from motet.problems import InputError
from motet.seeds import derive


def by_fold(
    table: pa.Table,
    folds: int,
    fold: int,
    validation: float,
    seed: int,
    *,
    group: str | None = None,
    strata: Strata | None = None,
    labels: Sequence[str] = (),
) -> Splits:
    """Split rows for one of the runs of a cross-validation.

    Args:
        table: All N rows.
        folds: Number of folds.
        fold: The fold that is the test split, counted from 1.
        validation: Share of the other rows for validation.
        seed: Seed of the folds, and of the validation rows.
        group: Column of groups, none of which is in two folds or splits.
        strata: Classes of all rows, which have the same share in all folds; None for no classes.
        labels: Columns whose values keep their shares, with ``group``.

    Returns:
        The splits.

    Raises:
        InputError: If there are too few rows or groups.
    """
    if folds > len(table):
        raise InputError(f"found {folds}; expected at most {len(table)}, the rows", option="folds")
    which = f"fold {fold} of {folds} is the test split"
    if group is not None:
        groups, note = find_groups(table, group)
        counts = measures(table, groups, labels)
        places = assign(counts, np.full(folds, 1 / folds), seed, group)
        others = np.flatnonzero(places != fold - 1)
        if len(others) < 2:
            raise InputError(
                f"found {folds}, of which all but fold {fold} have one group of {group!r}; "
                "expected at least two there, for training and validation; give more folds",
                option="folds",
            )
        shares = Fractions(validation, 0).shares
        split = assign(counts[others], shares, derive(seed, "fold", fold), group)
        of_group = np.full(len(places), 2)
        of_group[others] = split
        return Splits.of(of_group[groups], [which, note] if note else [which])
    of_row = _drawn_folds(len(table), folds, seed, strata)
    rest = draw(
        np.flatnonzero(of_row != fold - 1),
        Fractions(validation, 0),
        derive(seed, "fold", fold),
        strata,
    )
    test = np.flatnonzero(of_row == fold - 1)
    return Splits(rest.train, rest.validation, test, (which, *rest.notes))


def _drawn_folds(rows: int, folds: int, seed: int, strata: Strata | None) -> NDArray[np.int64]:
    """Draw the fold of each row; sizes of folds, and of classes in them, differ by one at most."""
    sizes = np.full(folds, rows // folds)
    sizes[: rows % folds] += 1
    order: Numbers = shuffled(rows, seed)
    classes = np.zeros(rows, np.int64) if strata is None else strata.codes[order]
    _, classes = np.unique(classes, return_inverse=True)
    totals = np.bincount(classes)
    counts = apportion(totals, sizes, np.zeros_like(totals), derive(seed, "folds"))
    found = np.empty(rows, np.int64)
    places = np.tile(np.arange(folds), len(counts)).repeat(counts.ravel())
    found[order[np.argsort(classes, kind="stable")]] = places
    return found
