"""Which rows of a table a condition holds for; where a column has no value it does not."""

from contextlib import suppress
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.conditions import Comparison, Condition, columns_of
from motet.data.selection import column_of, require_columns
from motet.data.values import described, is_number
from motet.problems import InputError, shown

_COMPARE = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def holds(condition: Condition, table: pa.Table, owner: str) -> NDArray[np.bool_]:
    """Return for which rows of a table a condition holds.

    Args:
        condition: What `motet.conditions.parse` returned.
        table: N rows.
        owner: Whose condition it is, for errors.

    Returns:
        Mask (N,); False where a comparison that matters has no value.

    Raises:
        InputError: If a column is missing, or has another type than the value.

    Example:
        >>> from motet.conditions import parse
        >>> holds(parse("click == 1"), pa.table({"click": [1, 0, None]}), "task 'buy'")
        array([ True, False, False])
    """
    require_columns(table, columns_of(condition), owner, "rows")
    try:
        found = _found(condition, table)
    except InputError as error:
        raise InputError(error.message, option="rows", owner=owner) from None
    mask: NDArray[np.bool_] = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask


def _found(condition: Condition, table: pa.Table) -> Any:
    if isinstance(condition, Comparison):
        return _compared(condition, table)
    join = pc.and_kleene if condition.operator == "and" else pc.or_kleene
    return reduce(join, (_found(part, table) for part in condition.parts))


def _compared(condition: Comparison, table: pa.Table) -> Any:
    column = column_of(table, condition.column, "rows").combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.bool_())
    if condition.operator == "in":
        found = (_equal(column, "==", condition, each) for each in condition.values)
        return reduce(pc.or_kleene, found)
    return _equal(column, condition.operator, condition, condition.values[0])


def _equal(column: Any, operator: str, condition: Comparison, value: Any) -> Any:
    kind = column.type
    name = condition.column
    if pa.types.is_boolean(kind) and value in (0, 1) and operator in ("==", "!="):
        return _COMPARE[operator](column, pa.scalar(bool(value)))
    if pa.types.is_integer(kind) and isinstance(value, int) and not isinstance(value, bool):
        return _COMPARE[operator](column, pa.scalar(value))  # exact beyond 2**53
    if is_number(kind) and isinstance(value, (int, float)) and not isinstance(value, bool):
        numbers = column.cast(pa.float64(), safe=False)
        known = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
        return _COMPARE[operator](known, pa.scalar(float(value)))
    if isinstance(value, str) and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        if operator in ("==", "!="):
            return _COMPARE[operator](column, pa.scalar(value, kind))
        raise InputError(
            f"column {name!r} holds texts, which {operator} does not order; expected ==, != or in"
        )
    if isinstance(value, str) and pa.types.is_temporal(kind):
        return _COMPARE[operator](column, _moment(value, kind, name))
    example = "a text in quotes" if pa.types.is_string(kind) else "a value of that type"
    if pa.types.is_boolean(kind):
        example = "== true or == false"
    raise InputError(
        f"column {name!r} holds {described(kind)}, found {_spelt(value)}; expected {example}"
    )


def _moment(value: str, kind: pa.DataType, name: str) -> pa.Scalar:
    """Read a value as the type of a column; without a zone it is by the clocks of the column's."""
    with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.scalar(value).cast(kind)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        with suppress(pa.ArrowInvalid):
            clocks = pa.scalar(value).cast(pa.timestamp(kind.unit))
            return pc.assume_timezone(clocks, kind.tz, ambiguous="earliest", nonexistent="earliest")
    example = "'12:30:00'" if pa.types.is_time(kind) else "'2024-01-31'"
    raise InputError(
        f"column {name!r} holds {described(kind)}, found {value!r}; expected one such as {example}"
    )


def _spelt(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"the value {shown(value)}"
    return f"the number {value}"
