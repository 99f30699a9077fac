"""Columns that have another name in one source than inputs know them by."""

from collections.abc import Mapping

import pyarrow as pa


def renamed(table: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """Give columns other names; a column that has the new name already is left out.

    Args:
        table: The rows.
        columns: For each new name, the column.

    Returns:
        The same rows.

    Example:
        >>> renamed(pa.table({"text": [1], "words": [2]}), {"text": "words"}).to_pydict()
        {'text': [2]}
    """
    for own, column in columns.items():
        if own == column:
            continue
        if own in table.column_names:
            table = table.drop_columns([own])
        metadata = table.schema.metadata
        table = table.rename_columns(
            [own if each == column else each for each in table.column_names]
        ).replace_schema_metadata(metadata)
    return table
