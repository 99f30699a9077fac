"""Splits that keep the rows of a group together, such as those of one customer.

Groups are assigned one after the other, large ones first, each to the split that lacks most of what
the group has: rows, labels of each task, and rows of each class. So all of them keep their shares
as well as whole groups allow. Groups of similar size come in the order of the seed.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.selection import require_columns
from motet.data.splits.base import Fractions, Numbers, Splits, shuffled
from motet.data.strata import find_strata
from motet.data.values import as_texts, is_number
from motet.figures import counted
from motet.problems import InputError

_MOST_CLASSES = 20
"""Number of classes of a column up to which each keeps its share."""
_MOST_GROUPS = 20_000
"""Number of groups up to which each is assigned alone; of more, the smallest are bundled."""
_OFF = 0.02
"""Difference of a split's share from the one asked for, from which a note reports it."""


def by_group(
    table: pa.Table, column: str, fractions: Fractions, seed: int, labels: Sequence[str] = ()
) -> Splits:
    """Split rows so that no group is in two splits.

    Args:
        table: All rows.
        column: Column that names the group of each row; a row without a value is a group alone.
        fractions: Shares of the splits.
        seed: Decides the order of groups of similar size.
        labels: Columns whose values, and whose classes, keep their shares.

    Returns:
        The splits, with a note where a share is not the one asked for.

    Raises:
        InputError: If there are fewer groups than splits.
    """
    groups, note = find_groups(table, column)
    places = assign(measures(table, groups, labels), fractions.shares, seed, column)[groups]
    notes = [note] if note else []
    found = np.bincount(places, minlength=len(fractions.shares)) / len(places)
    for name, share, asked in zip(
        ("train", "validation", "test"), found, fractions.shares, strict=False
    ):
        if abs(share - asked) > _OFF:
            notes.append(
                f"the {name} split has {100 * share:.0f} % of the rows instead of "
                f"{100 * asked:.0f} %, as groups of {column!r} stay whole"
            )
    return Splits.of(places, notes)


def find_groups(table: pa.Table, column: str) -> tuple[Numbers, str]:
    """Number the groups of rows.

    Args:
        table: N rows.
        column: Column that names the group of each row.

    Returns:
        The number of each row's group, (N,), and a note about rows without one, if there are any.

    Raises:
        InputError: If the column is missing, or does not hold names or numbers.
    """
    require_columns(table, [column], "split", "group")
    texts = as_texts(table[column], f"split: group: column {column!r}").combine_chunks()
    indices = texts.dictionary_encode().indices
    codes = indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    alone = np.flatnonzero(codes < 0)
    if not len(alone):
        return codes, ""
    codes[alone] = codes.max() + 1 + np.arange(len(alone))
    return codes, (
        f"column {column!r} has no value in {len(alone):,} rows; each of them is a group alone"
    )


def measures(table: pa.Table, groups: Numbers, labels: Sequence[str]) -> NDArray[np.float64]:
    """Count what each group has, as shares of the whole.

    Args:
        table: N rows.
        groups: Number of each row's group, (N,).
        labels: Columns whose values and classes count.

    Returns:
        (G, K): shares of the rows, and for each column of its values and of each class.
    """
    count = int(groups.max()) + 1
    found = [np.bincount(groups, minlength=count)]
    for column in dict.fromkeys(labels):
        values = table[column]
        known = values.is_valid().to_numpy(zero_copy_only=False)
        found.append(np.bincount(groups[known], minlength=count))
        kind = values.type
        if not (is_number(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)):
            continue
        strata = find_strata(table, column)
        if len(strata.names) <= _MOST_CLASSES:
            found += [
                np.bincount(groups[strata.codes == code], minlength=count)
                for code in range(len(strata.names))
            ]
    counts: NDArray[np.float64] = np.stack([each / each.sum() for each in found if each.any()], 1)
    return counts


def assign(
    shares: NDArray[np.float64], splits: NDArray[np.float64], seed: int, column: str
) -> NDArray[np.int64]:
    """Assign groups to splits, at least one to each.

    Args:
        shares: What each of G groups has of each of K measures, (G, K); the first is rows.
        splits: Shares of the splits, (S,).
        seed: Decides the order of groups of similar size.
        column: Name of the column of groups, for the message.

    Returns:
        The split of each group, (G,).

    Raises:
        InputError: If there are fewer groups than splits.

    Example:
        >>> sizes = np.array([[0.4], [0.3], [0.1], [0.1], [0.1]])
        >>> assign(sizes, np.array([0.7, 0.15, 0.15]), seed=0, column="customer")
        array([0, 0, 1, 1, 2])
    """
    if len(shares) < len(splits):
        raise InputError(
            f"column {column!r} has {counted(len(shares), 'group')}; expected "
            f"at least {len(splits)}, one in each split",
            option="group",
        )
    order = shuffled(len(shares), seed)
    sizes = np.ceil(np.log2(shares[order, 0] / shares[:, 0].min()))
    order = order[np.argsort(-sizes, kind="stable")]
    bundles = np.arange(len(shares)).clip(max=_MOST_GROUPS)  # of groups in this order
    rest = max(len(shares) - _MOST_GROUPS, 0)
    bundles[len(shares) - rest :] = _MOST_GROUPS + np.arange(rest) * _MOST_GROUPS // max(rest, 1)
    bundled = np.zeros((bundles[-1] + 1, shares.shape[1]))
    np.add.at(bundled, bundles, shares[order])
    lacking = np.ones((len(splits), shares.shape[1]))
    empty = np.ones(len(splits), bool)
    places = np.empty(len(bundled), np.int64)
    for number, own in enumerate(bundled):
        # the least growth of the sum of squared shares, each divided by the share asked for
        gains = lacking @ own - own @ own / (2 * splits)
        if len(bundled) - number == empty.sum():
            gains[~empty] = -np.inf
        places[number] = place = np.argmax(gains)
        lacking[place] -= own / splits[place]
        empty[place] = False
    found = np.empty(len(shares), np.int64)
    found[order] = places[bundles]
    return found
