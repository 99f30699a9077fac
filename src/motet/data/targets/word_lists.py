"""Labels that are a list per row, one entry for each word of a text."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data import list_texts
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import TextSizes
from motet.data.inputs.text import Text
from motet.data.selection import require_columns
from motet.data.words import text_of
from motet.problems import RowError


def labelled_text(task: str, asked: str | None, inputs: Mapping[str, Input]) -> Text | None:
    """Return the input whose words a task labels; None if there is no text.

    Raises:
        InputError: If no text has words, or several have and none is named.
    """
    shapes = {name: each.shape() for name, each in inputs.items()}
    sizes = {name: each for name, each in shapes.items() if isinstance(each, TextSizes)}
    found = inputs[text_of(task, asked, sizes)] if sizes else None
    return found if isinstance(found, Text) else None


def read_lists(table: pa.Table, column: str, task: str) -> pa.ChunkedArray:
    """Return a column of lists, or of texts that spell lists; of other types as it is.

    Raises:
        InputError: If the table lacks it.
    """
    require_columns(table, [column], f"task {task!r}")
    found = table[column]
    if pa.types.is_null(found.type):
        return found.cast(pa.list_(pa.string()))
    if pa.types.is_string(found.type):
        return list_texts.read_column(found)
    if pa.types.is_fixed_size_list(found.type):
        return found.cast(pa.list_(found.type.value_type))
    return found


def lengths_of(lists: pa.Array) -> NDArray[np.int64]:
    """Return how many entries each list has, (N,), -1 where it is null."""
    lengths = pc.fill_null(pc.list_value_length(lists), -1)
    found: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def check_lengths(
    lengths: NDArray[Any], table: pa.Table, text: Text, where: str, entry: str
) -> None:
    """Check that labelled rows have one entry for each of their words.

    Args:
        lengths: How many entries each row has, (N,), -1 where it is not labelled.
        table: The rows.
        text: Their words.
        where: Whose lists they are, to begin messages with.
        entry: What an entry is called.

    Raises:
        RowError: If a row has another number of them.
    """
    words = text.word_places(table).counts
    wrong = np.flatnonzero((lengths >= 0) & (lengths != words))
    if len(wrong):
        row = wrong[0]
        raise RowError(
            f"{where} has {lengths[row]:,} {entry}s in",
            row,
            f", where input {text.name!r} has {words[row]:,} words ({len(wrong):,} such rows); "
            f"give one {entry} per word, null for a word without a label",
        )


def padded(
    values: NDArray[Any], lengths: NDArray[np.int64], filler: float | int, kind: Any
) -> NDArray[Any]:
    """Return the entries of all lists, one after the other, as an array (N, L) of a type."""
    lengths = np.maximum(lengths, 0)
    rows = np.full((len(lengths), max(1, lengths.max(initial=0))), filler, kind)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = values
    return rows


def lists_of(lengths: NDArray[Any], values: pa.Array) -> pa.Array:
    """Return lists of so many values each."""
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), values)
