"""Soft labels: for every row the shares of all classes, as annotators who disagree give them."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.values import as_matrix, refuse_infinite
from motet.problems import RowError

_ROUNDING = 1e-3


def read_shares(
    column: pa.ChunkedArray, what: str, width: int | None = None
) -> NDArray[np.float32]:
    """Read a column of lists of shares.

    Args:
        column: A column of N lists.
        what: Whose column it is, to begin messages with.
        width: Number of classes C; that of the first list if left out.

    Returns:
        float32 (N, C); a row that lacks any share is NaN throughout.

    Raises:
        InputError: If the column does not hold lists of C numbers.
        RowError: If the numbers of a row are not >= 0, or their sum is not 1 to 3 digits.
    """
    shares = as_matrix(column, what, width)
    refuse_infinite(shares, what)
    shares = np.where(np.isnan(shares).any(axis=1, keepdims=True), np.nan, shares)
    with np.errstate(over="ignore"):
        wrong = (shares < 0).any(axis=1) | (np.abs(shares.sum(axis=1) - 1) > _ROUNDING)
    if wrong.any():
        row = wrong.argmax()
        found = ", ".join(f"{share:g}" for share in shares[row])
        raise RowError(
            f"{what} has the shares {found} in", row, ", expected numbers >= 0 that add up to 1"
        )
    return shares.astype(np.float32)
