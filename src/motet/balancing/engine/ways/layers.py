"""Layers and tables: rows that hold less than the gradients of wide layers and long tables.

They hold cotangents in place of the weight gradients of linear layers
(`motet.balancing.engine.linear_layers`), and of an embedding table the rows that the batch uses
(`motet.balancing.engine.embedding_tables`). Products are of all rows of a batch, so with several
processes only tables are read so.
"""

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.embedding_tables import embedding_tables, joined_tables
from motet.balancing.engine.linear_layers import linear_layers
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.task_rows import by_task_rows
from motet.problems import InputError


def layers(call: BackwardCall) -> BackwardResult | None:
    """Balance on rows, with layers as products and tables by rows used; None where none benefits.

    Returns:
        What was done.

    Raises:
        InputError: If ``gramian="layers"``, and no layer or table can be read so.
    """
    cheaper = call.gramian == "auto"
    losses, shared = call.losses.values(), call.leaves.shared
    least = _LEAST if cheaper else 1
    wide = [leaf for leaf in shared if leaf.dim() == 2 and leaf.numel() >= least]
    if wide and call.processes.several:
        here = [loss for loss in losses if loss.requires_grad]
        tables = joined_tables(here, wide, call.processes)
        if tables:
            return by_task_rows(call, "tables", (), tables)
    elif wide:
        found = linear_layers(losses, shared, wide, call.above, cheaper=cheaper)
        tables = embedding_tables(losses, wide, call.above, cheaper=cheaper)
        if found or tables:
            return by_task_rows(call, "layers" if found else "tables", found, tables)
    if cheaper:
        return None
    raise InputError(
        'gramian="layers" has no effect: no linear layer can be read as a product and no embedding '
        "table by the rows used, as bfloat16, recomputed states (checkpointing), hooks, or other "
        "kinds of layers prevent it; remove gramian"
    )


_LEAST = 1 << 14
"""Numbers in a weight below which nothing is gained."""
