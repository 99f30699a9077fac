"""Adding to ``.grad`` as torch's backward does."""

import torch
from torch import Tensor


def add_to_grad(
    leaf: Tensor, gradient: Tensor, waiting: dict[int, Tensor], *, owned: bool = False
) -> None:
    """Add to ``.grad``: in place, in the leaf's dtype and memory format, sparse if all is sparse.

    Args:
        leaf: A leaf of the graph.
        gradient: What to add. Autograd may hand the same memory to several leaves, or expand it, so
            a first gradient is copied.
        waiting: Where a leaf with post-accumulate hooks is noted, by its id: they are to be run.
        owned: Promises that nobody else has the gradient's memory, which then need not be copied.
    """
    if leaf.grad is None:
        like = owned and (gradient.dtype, gradient.device) == (leaf.dtype, leaf.device)
        if like and gradient.stride() == leaf.stride():
            leaf.grad = gradient
        elif gradient.is_sparse:
            leaf.grad = gradient.to(leaf.dtype, copy=True)
        else:
            leaf.grad = torch.empty_like(leaf).copy_(gradient)
    elif leaf.grad.is_sparse and not gradient.is_sparse:
        leaf.grad = gradient + leaf.grad
    else:
        leaf.grad.add_(gradient)
    if leaf._post_accumulate_grad_hooks:
        waiting[id(leaf)] = leaf
