"""One backward pass with weights that are known already."""

from collections.abc import Sequence

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.sharded_passes import sharded_weighted_pass
from motet.balancing.engine.solving import own_weights


def weighted_pass(
    call: BackwardCall,
    shared: Sequence[Tensor],
    others: Sequence[Tensor],
    weights: Tensor,
    inner: Tensor | None,
) -> None:
    """Add the gradient of the weighted losses to ``.grad``; a second pass for plain ``others``."""
    if call.shards is not None:
        sharded_weighted_pass(call, call.shards, shared, others, weights, inner)
        return
    values = call.stacked()
    factors = weights.to(values) * call.scale
    own = own_weights(call, weights, inner)
    own = torch.ones_like(factors) if own is None else own.to(values)
    together = [*shared, *others] if call.weighted else shared
    apart = [] if call.weighted else others
    retain = call.keep_graph or bool(apart)
    call.minimise([values], [factors], together, retain_graph=retain, inputs=together)
    if apart:
        factors = own * call.scale
        call.minimise([values], [factors], apart, retain_graph=call.keep_graph, inputs=apart)
