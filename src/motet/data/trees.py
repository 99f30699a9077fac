"""Trees of arrays: mappings, perhaps nested, whose leaves have one row per example.

A leaf is a NumPy array, or a `motet.data.ragged.Ragged`; both have ``take``.
"""

from collections.abc import Iterator
from typing import Any


def take_rows(tree: Any, rows: Any) -> Any:
    """Return some rows of every leaf."""
    if isinstance(tree, dict):
        return {name: take_rows(each, rows) for name, each in tree.items()}
    return tree.take(rows, axis=0)


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves, in order."""
    if isinstance(tree, dict):
        for each in tree.values():
            yield from leaves(each)
    else:
        yield tree
