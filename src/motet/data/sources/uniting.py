"""Several files with the same columns as one table, with common types."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from motet.data.selection import listed
from motet.data.values import described
from motet.problems import InputError


def texts_in_some(tables: Iterable[pa.Table]) -> list[str]:
    """Name the columns that hold texts in some tables and other values in others."""
    texts: dict[str, None] = {}  # a set in order
    others = set()
    for table in tables:
        for field in table.schema:
            if pa.types.is_string(field.type):
                texts[field.name] = None
            elif not pa.types.is_null(field.type):
                others.add(field.name)
    return [name for name in texts if name in others]


def unite(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Concatenate tables, in the order given.

    Integers and floating-point numbers become the latter; a column without values has its type in
    the other tables.

    Args:
        tables: By their names in messages; at least one. Their columns may have different orders.

    Returns:
        One table, with the columns in the order of the first.

    Raises:
        InputError: If they have different columns, or a column has incompatible types.

    Example:
        >>> unite({"a.csv": pa.table({"x": [1]}), "b.csv": pa.table({"x": [2.5]})}).to_pydict()
        {'x': [1.0, 2.5]}
    """
    (first, one), *others = tables.items()
    names = one.column_names
    for name, table in others:
        lacking = _without(names, table.column_names)
        more = _without(table.column_names, names)
        if lacking or more:
            found = [f"{name} has no {listed(map(repr, lacking))}"] * bool(lacking)
            found += [f"{first} has no {listed(map(repr, more))}"] * bool(more)
            raise InputError(
                f"the files have different columns: {', and '.join(found)}; expected the same "
                "columns in all"
            )
    schema = pa.schema([(name, _common_type(name, tables)) for name in names])
    return pa.concat_tables(
        [table.select(names).cast(schema, safe=False) for table in tables.values()]
    )


def _without(names: Iterable[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _common_type(column: str, tables: Mapping[str, pa.Table]) -> pa.DataType:
    (first, one), *others = tables.items()
    common = one.schema.field(column)
    for name, table in others:
        field = table.schema.field(column)
        try:
            (common,) = pa.unify_schemas(
                [pa.schema([common]), pa.schema([field])], promote_options="permissive"
            )
        except pa.ArrowTypeError:
            raise InputError(
                f"the column {column!r} holds {described(field.type)} in {name}, but "
                f"{described(common.type)} from {first} on; expected one type"
            ) from None
    return common.type
