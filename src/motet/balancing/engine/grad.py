"""Gradients in the form, and added to ``.grad`` in the way, of torch's backward."""

import torch
from torch import Tensor


def sparse_gradient(indices: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    """Return a sparse gradient from indices (S, N), sorted and each there once, and values."""
    return torch.sparse_coo_tensor(
        indices, values, shape, is_coalesced=True, check_invariants=False
    )


def add_to_grad(
    leaf: Tensor, gradient: Tensor, waiting: dict[int, Tensor], *, owned: bool = False
) -> None:
    """Add to ``.grad``: in place, in the leaf's dtype and memory format, sparse if all is sparse.

    Args:
        leaf: A leaf of the graph.
        gradient: What to add. Autograd may give several leaves the same memory, or expand it, so a
            first gradient is copied.
        waiting: Receives a leaf with post-accumulate hooks, by its id: they are run later.
        owned: Whether nothing else refers to the gradient's memory, which then is not copied.
    """
    if leaf.grad is None:
        like = owned and (gradient.dtype, gradient.device) == (leaf.dtype, leaf.device)
        if gradient.is_sparse:
            leaf.grad = gradient.to(leaf.dtype, copy=not like)
        elif like and gradient.stride() == leaf.stride():
            leaf.grad = gradient
        else:
            leaf.grad = torch.empty_like(leaf).copy_(gradient)
    elif leaf.grad.is_sparse and not gradient.is_sparse:
        leaf.grad = gradient.to(leaf.dtype) + leaf.grad
    else:
        leaf.grad.add_(gradient)
    if leaf._post_accumulate_grad_hooks:
        waiting[id(leaf)] = leaf
