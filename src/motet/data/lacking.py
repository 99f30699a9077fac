"""Inputs of several sources side by side: which of them each lacks, and whether shapes agree."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from motet.data.inputs.shapes import CATEGORIES, NUMBERS, SETS, TEXTS, InputShapes


def lacking(trees: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Find the inputs that each source lacks and another has.

    Args:
        trees: The inputs of each source. Those that are not mappings lack nothing.

    Returns:
        For each source, None under the name of each input that it lacks; texts are compared one by
        one.

    Example:
        >>> lacking({"a": {"age": 1, "texts": {"note": 2}}, "b": {"texts": {"title": 3}}})
        {'a': {'texts': {'title': None}}, 'b': {'age': None, 'texts': {'note': None}}}
    """
    mappings = [tree for tree in trees.values() if isinstance(tree, Mapping)]
    names = dict.fromkeys(name for tree in mappings for name in tree)
    texts = dict.fromkeys(name for tree in mappings for name in _texts(tree))
    found: dict[str, dict[str, Any]] = {source: {} for source in trees}
    for source, tree in trees.items():
        if isinstance(tree, Mapping):
            found[source] = {name: None for name in names if name not in tree}
            without = {name: None for name in texts if name not in _texts(tree)}
            if without:
                found[source][TEXTS] = without
    return found


def lacking_in(shapes: InputShapes, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Find the inputs of a model that rows lack; see `lacking`."""
    table = {NUMBERS: shapes.table.numbers, CATEGORIES: shapes.table.categories, SETS: shapes.sets}
    whole: dict[str, Any] = {name: None for name, columns in table.items() if columns}
    if shapes.texts:
        whole[TEXTS] = dict.fromkeys(shapes.texts)
    return lacking({"": {**whole, **dict.fromkeys(shapes.branches)}, "rows": tree})["rows"]


def with_none(inputs: Any, without: Mapping[str, Any]) -> Any:
    """Set None in place of the inputs that rows lack, as `lacking` found them."""
    if not without:
        return inputs
    made = {**inputs, **without}
    if TEXTS in without:
        made[TEXTS] = {**_texts(inputs), **without[TEXTS]}
    return made


def same_shapes(trees: Sequence[Any]) -> bool:
    """Return whether rows of all trees can be in one tensor each; rows of varying length cannot.

    Those of texts would all be padded to the longest of any source.
    """
    first, *others = [dict(_shapes(tree, ())) for tree in trees]
    return None not in first.values() and all(each == first for each in others)


def _texts(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    found = tree.get(TEXTS)
    return found if isinstance(found, Mapping) else {}


def _shapes(tree: Any, path: tuple[str, ...]) -> Any:
    if isinstance(tree, Mapping):
        for name, each in tree.items():
            yield from _shapes(each, (*path, name))
    else:
        yield path, (tree.shape[1:], tree.dtype) if isinstance(tree, Tensor) else None
