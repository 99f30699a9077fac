"""Layers: rows that hold cotangents in place of the weight gradients of wide linear layers."""

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.linear_layers import linear_layers
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.task_rows import by_task_rows
from motet.problems import InputError


def layers(call: BackwardCall) -> BackwardResult | None:
    """Balance on rows, with linear layers as products; None where no layer benefits.

    Returns:
        What was done.

    Raises:
        InputError: If ``gramian="layers"``, and no layer can be read as a product.
    """
    cheaper = call.gramian == "auto"
    found = linear_layers(call.losses.values(), call.leaves.shared, cheaper=cheaper)
    if found:
        return by_task_rows(call, found, "layers")
    if cheaper:
        return None
    raise InputError(
        'gramian="layers" has no effect: no linear layer can be read as a product, as bfloat16, '
        "recomputed states (checkpointing), hooks, or other kinds of layers prevent it; remove "
        "gramian"
    )
