"""Finding columns by name or pattern, with messages that name the nearest where one is missing."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa

from motet.problems import InputError, nearest

LISTED = 20
"""Values that `listed` names, where nothing else is asked for."""
BESIDE = ("query",)
"""Options of tasks that name a column beside the labels."""


def require_columns(
    table: Any, columns: Iterable[str], owner: str, option: str | None = None
) -> None:
    """Check that a table has all columns that something needs.

    Args:
        table: A `pyarrow.Table` or `pyarrow.RecordBatch`.
        columns: Names of the columns.
        owner: What needs them, for the error.
        option: The option of the owner that names them, if one does.

    Raises:
        InputError: If some are missing; one message names them all, each with its nearest match.

    Example:
        >>> require_columns(pa.table({"age": [1], "job": ["a"]}), ["agee"], "inputs")
        Traceback (most recent call last):
            ...
        motet.problems.InputError: inputs: the data have no column 'agee' (did you mean 'age'?); \
columns: age, job
    """
    index = table.schema.get_field_index  # fast for thousands of columns
    missing = [name for name in dict.fromkeys(columns) if index(name) < 0]
    if missing:
        there = table.column_names
        raise InputError(
            f"the data have no column {', '.join(_with_near(m, there) for m in missing)}; columns: "
            f"{listed(there)}",
            option=option,
            owner=owner,
        )


def column_of(rows: pa.Table | pa.RecordBatch, name: str, what: str) -> pa.ChunkedArray:
    """Return one column of rows.

    Args:
        rows: The rows.
        name: Name of the column.
        what: What needs it, to begin the message with.

    Returns:
        The column; one that is missing raises `InputError`.
    """
    require_columns(rows, [name], what)
    found = rows[name]
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def label_columns(task: str, options: Mapping[str, Any], table: Any) -> tuple[str, ...]:
    """Name the columns that hold a task's labels.

    Args:
        task: The task's name, and its column if the options name none.
        options: The task's options; "column" and "columns" are read.
        table: A `pyarrow.Table`.

    Returns:
        Names of columns; one that is missing raises `InputError`.
    """
    if options.get("latent"):
        return ()
    if options.get("columns") is not None:
        return matching(options["columns"], table.column_names, f"task {task!r}")
    column = options.get("column") or task
    require_columns(table, [column], f"task {task!r}")
    return (column,)


def columns_beside(task: str, options: Mapping[str, Any], table: Any) -> tuple[str, ...]:
    """Name the columns that a task reads beside its labels, which are no inputs by themselves.

    Args:
        task: The task's name.
        options: The task's options; those in `BESIDE` name columns.
        table: A `pyarrow.Table`.

    Returns:
        Names of columns; one that is missing raises `InputError`.
    """
    found = {option: options[option] for option in BESIDE if options.get(option) is not None}
    for option, column in found.items():
        require_columns(table, [column], f"task {task!r}", option)
    return tuple(found.values())


def matching(wanted: str | Sequence[str], available: Sequence[str], owner: str) -> tuple[str, ...]:
    """Resolve names and patterns such as "clip_*".

    Args:
        wanted: A name or pattern, or several; the exact name of a column is not a pattern.
        available: All columns; the matches of a pattern keep their order.
        owner: What needs them, for the error.

    Returns:
        Names of columns, without duplicates.

    Raises:
        InputError: If one matches no column.
    """
    patterns = [wanted] if isinstance(wanted, str) else list(wanted)
    found: list[str] = []
    for pattern in patterns:
        if pattern in available:
            found.append(pattern)
            continue
        matches = [name for name in available if fnmatchcase(name, pattern)]
        if not matches:
            raise InputError(
                f"no column matches {_with_near(pattern, available)}; columns: {listed(available)}",
                option="columns",
                owner=owner,
            )
        found += matches
    return tuple(dict.fromkeys(found))


def listed(values: Iterable[object], most: int = LISTED) -> str:
    """Join values for a message; of many, the first ones and the number of the others."""
    names = [str(value) for value in values]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _with_near(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f"{name!r} (did you mean {near!r}?)" if near else repr(name)
