"""Values of a column that are frequent enough for an index of their own."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from motet.problems import InputError

MOST = 5_000_000
"""Different values beyond which they are not counted."""


class ValueCounts:
    """How often each value was seen.

    Example:
        >>> counts = ValueCounts()
        >>> counts.add(pa.array(["red", "big", "red"]), "column 'tags'", "leave it out")
        >>> counts.frequent(1), counts.frequent(2)
        (['red', 'big'], ['red'])
    """

    def __init__(self) -> None:
        self._counts: pa.Table | None = None  # columns "values" and "counts"

    def __len__(self) -> int:
        return 0 if self._counts is None else len(self._counts)

    def add(self, values: pa.Array | pa.ChunkedArray, where: str, advice: str) -> None:
        """Count texts (n,), none of them null.

        Raises:
            InputError: If there are more than `MOST` different ones; ``where`` begins the message,
                and ``advice`` ends it.
        """
        counts = pa.Table.from_struct_array(values.value_counts())
        if self._counts is not None:
            both = pa.concat_tables([self._counts, counts]).group_by("values")
            counts = both.aggregate([("counts", "sum")]).rename_columns(["values", "counts"])
        if len(counts) > MOST:
            raise InputError(f"{where} has more than {MOST:,} different values, too many {advice}")
        self._counts = counts

    def frequent(self, min_count: int) -> list[str]:
        """Return the values that were seen ``min_count`` times, the most frequent first."""
        if self._counts is None:
            return []
        often = self._counts.filter(pc.greater_equal(self._counts["counts"], min_count))
        ranked = often.sort_by([("counts", "descending"), ("values", "ascending")])
        found: list[str] = ranked["values"].to_pylist()
        return found


def indices_of(
    values: Sequence[str], texts: pa.Array | pa.ChunkedArray, first: int, unknown: int
) -> pa.Array | pa.ChunkedArray:
    """Return ``first`` plus the place of each text (n,) among the values, or ``unknown``."""
    places = pc.index_in(texts, pa.array(values, pa.string())).cast(pa.int64())
    return pc.fill_null(pc.add(places, first), unknown)


def unknown_size(name: str, example: int) -> InputError:
    """Return the error for a model without data, which needs the number of values of an input."""
    return InputError(
        f"the number of values is unknown without data; give it, for example size: {example}",
        option="size",
        owner=f"input {name!r}",
    )
