"""Targets as users type them: a column, perhaps with the type of its task, "rooms:regression"."""

from collections.abc import Sequence

import pyarrow as pa

from motet.problems import InputError, hint
from motet.registry import AUXILIARY, TASKS


def asked_types(targets: Sequence[str], table: pa.Table) -> dict[str, str | None]:
    """Separate the names of columns from requested types.

    Args:
        targets: Names of columns, each perhaps with a type after the last colon. A column whose
            name contains a colon is that column.
        table: The rows.

    Returns:
        By column, the requested type, or None.

    Raises:
        InputError: If there is no target, one is given twice, or a type is unknown; all unknown
            types are named.

    Example:
        >>> table = pa.table({"rooms": [1, 2], "a:b": [1, 2]})
        >>> asked_types(["rooms:regression", "a:b"], table)
        {'rooms': 'regression', 'a:b': None}
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
        for name, kind in asked.items()
        if kind is not None and (kind not in TASKS or kind in AUXILIARY)
    ]
    if unknown:
        raise InputError(
            f"targets: {'; '.join(unknown)}; expected column:type, such as price:regression"
        )
    return asked


def _separated(target: str, columns: Sequence[str]) -> tuple[str, str | None]:
    name, colon, kind = target.rpartition(":")
    if not colon or target in columns:
        return target, None
    return name.strip(), kind.strip()
