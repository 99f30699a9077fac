"""Values of a column as numbers, where only their equality matters."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.targets.classes import MISSING
from motet.data.values import as_texts


def numbered(column: pa.ChunkedArray, what: str) -> tuple[NDArray[np.int64], list[str]]:
    """Number the distinct values of a column in the order of their first rows.

    Args:
        column: A column of N texts, numbers or the like.
        what: Its name, to begin messages with.

    Returns:
        int64 (N,), -100 where a value is missing; and the values as texts, by number.
    """
    encoded = as_texts(column, what).combine_chunks().dictionary_encode()
    found: NDArray[np.int64] = pc.fill_null(encoded.indices.cast(pa.int64()), MISSING).to_numpy()
    return found, encoded.dictionary.to_pylist()
