"""Groups that several tables have in common, each of which is split by itself."""

from collections.abc import Mapping

import pyarrow as pa

from motet.data.split_labels import WITH_CALIBRATION
from motet.data.splits import Splits
from motet.data.values import as_texts


def groups_apart(
    tables: Mapping[str, pa.Table], splits: Mapping[str, Splits], column: str
) -> dict[str, int]:
    """Count the groups of tables that are in another split of an earlier table.

    Args:
        tables: Rows by name, all with the column.
        splits: Their splits.
        column: Column that names the group of each row.

    Returns:
        The number of such groups, for tables that have some.

    Example:
        >>> import numpy as np
        >>> one, other = Splits.of(np.array([0, 1])), Splits.of(np.array([1, 0]))
        >>> names = pa.table({"name": ["ann", "bob"]})
        >>> groups_apart({"a": names, "b": names}, {"a": one, "b": other}, "name")
        {'b': 2}
    """
    found: dict[str, int] = {}
    known: dict[str, str] = {}
    for name, table in tables.items():
        texts = as_texts(table[column], f"split: group: column {column!r}")
        apart = 0
        for split in WITH_CALIBRATION:
            rows = pa.array(getattr(splits[name], split), pa.int64())
            groups = texts.take(rows).drop_null().unique().to_pylist()
            apart += sum(known.setdefault(group, split) != split for group in groups)
        if apart:
            found[name] = apart
    return found
