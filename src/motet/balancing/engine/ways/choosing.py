"""Which ways a call takes, by what its balancer needs and what its caller asks for: one table.

Ways are tried in order. One that does not fit the balancer's state or the graph returns None and
has written nothing; the last way of a line always fits.
"""

from collections.abc import Callable

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.ways.accumulated import accumulated
from motet.balancing.engine.ways.blocks import blocks
from motet.balancing.engine.ways.kept_weights import kept_weights
from motet.balancing.engine.ways.layers import layers
from motet.balancing.engine.ways.observed_norms import observed_norms
from motet.balancing.engine.ways.one_pass import one_pass
from motet.balancing.engine.ways.penalized_norms import penalized_norms
from motet.balancing.engine.ways.pieces import pieces
from motet.balancing.engine.ways.representation import representation
from motet.balancing.engine.ways.rows import rows
from motet.balancing.engine.ways.sharded import sharded

Way = Callable[[BackwardCall], BackwardResult | None]


def ways(call: BackwardCall) -> tuple[Way, ...]:
    """Return the ways to try, in order: those of the first line that holds."""
    needs = call.balancer.needs
    table: tuple[tuple[bool, tuple[Way, ...]], ...] = (
        (not call.whole, (accumulated,)),
        (call.shards is not None, (sharded,)),
        (needs.penalizes_norms, (penalized_norms,)),
        (needs.norms is not None, (observed_norms,)),
        (needs.reads == "losses", (one_pass,)),
        (call.at == "representation", (representation,)),
        (needs.reads == "jacobian", (rows,)),
        (call.memory == "low", (kept_weights, pieces)),
        (call.gramian == "rows", (kept_weights, rows)),
        (call.processes.several, (kept_weights, layers, rows)),
        (call.gramian == "layers", (kept_weights, layers)),
    )
    for holds, found in table:
        if holds:
            return found
    return (kept_weights, blocks, layers, rows)
