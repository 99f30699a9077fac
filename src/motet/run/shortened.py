"""Tables of many tasks or inputs, cut to what people read."""

from collections.abc import Iterator, Sequence

from motet.data.selection import listed

MANY = 24
"""Rows above which a table is shortened."""
_NAMED = 3
"""Names of a row that stands for several."""


def merged(rows: Sequence[Sequence[str]], what: str) -> Iterator[Sequence[str]]:
    """Return a table; of many rows, those that differ in their names alone as one.

    Args:
        rows: A name and other cells, as many in each row.
        what: What they are, in the plural.

    Yields:
        At most ``MANY`` rows, and one that counts what is left out.

    Example:
        >>> list(merged([(f"x{n}", "number") for n in range(100)], "inputs"))
        [('x0, x1, x2 and 97 more', 'number')]
    """
    if len(rows) <= MANY:
        yield from rows
        return
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, *rest in rows:
        groups.setdefault(tuple(rest), []).append(name)
    for number, (cells, names) in enumerate(groups.items()):
        if number == MANY:
            left = sum(map(len, list(groups.values())[MANY:]))
            yield (f"and {left:,} more {what}", *("" for _ in cells))
            return
        yield (listed(names, _NAMED), *cells)
