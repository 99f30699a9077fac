"""A task whose probability is the product of those of others, such as click, then purchase.

p(click and purchase) = p(click) p(purchase | click) holds for every row, so the product is trained
on all rows, though purchases are known only after clicks (ESMM: Ma et al., SIGIR 2018,
arXiv:1804.07931). It is computed from logarithms, so that it has a gradient where probabilities
round to 0 or 1.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.tasks.labels import at_least_float32


class ProductHead(nn.Module):
    """Logits of a product of probabilities, from the logits (B, 2) of its parts."""

    takes_reads = True

    def forward(self, features: Any, reads: Mapping[str, Tensor], **more: Any) -> Tensor:
        """Return the logarithms of 1 - p and p, (B, 2), for p the product."""
        return log_product(list(reads.values()))


def log_product(parts: list[Tensor]) -> Tensor:
    """Return log (1 - p) and log p, (B, 2), of the product p of the probabilities of class 1.

    1 - p = (1 - p_1) + p_1 (1 - p_2) + p_1 p_2 (1 - p_3) + ..., so nothing cancels.

    Args:
        parts: Logits (B, 2) of each part.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0]])
        >>> log_product([logits, logits]).exp()
        tensor([[0.7500, 0.2500]])
    """
    no, yes = zip(*(at_least_float32(p).log_softmax(-1).unbind(-1) for p in parts), strict=True)
    so_far, terms = torch.zeros_like(yes[0]), []
    for not_this, this in zip(no, yes, strict=True):
        terms.append(so_far + not_this)
        so_far = so_far + this
    return torch.stack([torch.stack(terms).logsumexp(dim=0), so_far], dim=-1)
