"""Running means over the rows of training batches, of what a scheme reports and does not learn.

A module names such buffers in ``means_of_rows``, so that several processes can join them.
"""

import torch
from torch import Tensor

_SHARE = 0.1


@torch.no_grad()
def move_mean(mean: Tensor, rows: Tensor) -> None:
    """Move a mean (...), in place, towards that of rows (N, ...) by a tenth; not if N is 0."""
    if rows.shape[0]:
        mean.lerp_(rows.mean(dim=0).to(mean.dtype), _SHARE)
