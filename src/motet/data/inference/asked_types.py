"""Targets as users type them: a column, perhaps with the type of its task, "rooms:regression"."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from motet.problems import InputError, hint
from motet.registry import AUXILIARY, TASKS


class Asked(NamedTuple):
    """What was asked for a column."""

    type: str | None = None
    query: str | None = None
    """Column of queries, of a ranking."""


def asked_types(targets: Sequence[str], table: pa.Table) -> dict[str, Asked]:
    """Separate the names of columns from requested types.

    Args:
        targets: Names of columns, each perhaps with a type after the last colon, and a ranking also
            with its column of queries: "rating:ranking:session". A column whose name contains a
            colon is that column.
        table: The rows.

    Returns:
        What was asked, by column.

    Raises:
        InputError: If there is no target, one is given twice, or a type is unknown; all unknown
            types are named.

    Example:
        >>> table = pa.table({"rooms": [1, 2], "a:b": [1, 2]})
        >>> asked_types(["rooms:regression", "a:b"], table)
        {'rooms': Asked(type='regression', query=None), 'a:b': Asked(type=None, query=None)}
    """
    pairs = [_separated(target, table.column_names) for target in targets]
    asked = dict(pairs)
    if not pairs or len(asked) < len(pairs):
        names = ", ".join(name for name, _ in pairs)
        raise InputError(
            f"found the targets {names or 'none'}, expected at least one column, none twice"
        )
    unknown = [
        f"{name}: no task is of the type {kind!r} ({hint(kind, TASKS)})"
        for name, (kind, _) in asked.items()
        if kind is not None and (kind not in TASKS or kind in AUXILIARY)
    ]
    if unknown:
        raise InputError(
            f"targets: {'; '.join(unknown)}; expected column:type, such as price:regression"
        )
    return asked


def _separated(target: str, columns: Sequence[str]) -> tuple[str, Asked]:
    name, colon, kind = target.rpartition(":")
    if not colon or target in columns:
        return target, Asked()
    column, _, before = name.rpartition(":")
    if before.strip() == "ranking" and kind.strip() in columns:
        return column.strip(), Asked("ranking", kind.strip())
    return name.strip(), Asked(kind.strip())
