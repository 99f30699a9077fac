"""Which column marks the rows for training, validation and test."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

_SPLIT_NAMES = ("split", "fold", "part", "partition", "subset")
_MARKS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class SplitColumn:
    """A column that marks the split of each row."""

    column: str
    marks: Mapping[str, str] = field(default_factory=dict)
    """Values that mark "train", "validation" and "test", those that occur."""


def infer_split(table: pa.Table, exclude: Collection[str] = ()) -> SplitColumn | None:
    """Find a column that marks the rows for training, validation and test.

    Args:
        table: The rows.
        exclude: Columns to skip: targets.

    Returns:
        A column named split, fold, part, partition or subset whose values all mark a split, and
        some the training rows; None if there is none.

    Example:
        >>> infer_split(pa.table({"Split": ["train", "val", "train"]}))
        SplitColumn(column='Split', marks={'train': 'train', 'validation': 'val'})
    """
    for name in table.column_names:
        column = table[name]
        known = name.lower() in _SPLIT_NAMES and name not in exclude
        if known and pa.types.is_string(column.type) and not column.null_count:
            values = column.unique().to_pylist()
            marks = {
                split: value
                for split, words in _MARKS.items()
                for value in values
                if value.lower() in words
            }
            if "train" in marks and 1 < len(marks) == len(values):
                return SplitColumn(name, marks)
    return None
