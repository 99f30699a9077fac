"""Numbers in texts of which some are bounds: ">1000", "<= 10"."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.empty import WORDS, spells_numbers
from motet.data.values import as_floats, refuse_infinite
from motet.problems import RowError, shown

_ABOVE, _BELOW = (">", ">=", "≥"), ("<", "<=", "≤")
_PATTERN = r"^\s*(?P<sign>>=|<=|>|<|≥|≤)?(?P<number>(?s:.*))$"


def read_intervals(column: pa.ChunkedArray, what: str) -> NDArray[np.float64]:
    """Read numbers and bounds.

    Args:
        column: A column of N numbers, or texts that spell numbers or bounds. Whether a bound itself
            belongs to the interval makes no difference to a likelihood.
        what: Whose column it is, to begin messages with.

    Returns:
        The lowest and the highest number that each can be, (N, 2), NaN where missing.

    Raises:
        RowError: If a text spells something else, or a number is infinite. A column of other values
            raises `InputError`.

    Example:
        >>> read_intervals(pa.chunked_array([["7", "> 10", "<=2.5", None]]), "column 'y'")
        array([[ 7. ,  7. ],
               [10. ,  inf],
               [-inf,  2.5],
               [ nan,  nan]])
    """
    if not pa.types.is_string(column.type):
        numbers = as_floats(column, what)
        refuse_infinite(numbers, what)
        return np.stack([numbers, numbers], axis=1)
    signs, texts = _split(column)
    numbers = as_floats(texts, what)
    refuse_infinite(numbers, what)
    bound = pc.is_in(signs, pa.array([*_ABOVE, *_BELOW])).to_numpy()
    empty = bound & np.isnan(numbers)
    if empty.any():
        row = int(empty.argmax())
        raise RowError(
            f"{what} has {shown(column[row].as_py())} in", row, ", expected a number after the sign"
        )
    intervals = np.stack([numbers, numbers], axis=1)
    intervals[pc.is_in(signs, pa.array(_ABOVE)).to_numpy(), 1] = np.inf
    intervals[pc.is_in(signs, pa.array(_BELOW)).to_numpy(), 0] = -np.inf
    return intervals


def count_bounds(column: pa.ChunkedArray) -> int:
    """Count the bounds in a column of texts.

    Returns:
        Their number; 0 if there are other texts than numbers and bounds.

    Example:
        >>> count_bounds(pa.chunked_array([["7", ">10", None]]))
        1
        >>> count_bounds(pa.chunked_array([["7", ">10", "<b>"]]))
        0
    """
    if not pa.types.is_string(column.type):
        return 0
    trimmed = pc.utf8_trim_whitespace(column.drop_null())
    known = trimmed.filter(pc.invert(pc.is_in(trimmed, pa.array(WORDS))))
    signs, texts = _split(known)
    if not pc.all(spells_numbers(texts)).as_py():
        return 0
    return int(pc.sum(pc.is_in(signs, pa.array([*_ABOVE, *_BELOW]))).as_py() or 0)


def _split(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the sign of each text, "" where it has none, and the rest."""
    parts = pa.chunked_array([pc.extract_regex(column.combine_chunks(), _PATTERN)])
    return pc.struct_field(parts, "sign"), pc.struct_field(parts, "number")
