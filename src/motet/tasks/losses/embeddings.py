"""Losses that compare the embeddings of a batch: pure formulas, one number per anchor.

They do not add up over micro-batches, as each row is compared with all others of its batch.
Distances cost memory B x B.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

Distance = Literal["euclidean", "squared", "cosine"]

_FLOOR = 1e-12
"""Smallest squared distance below the root, whose slope at 0 is infinite."""
_SHORTEST = 1e-6
"""Length below which a vector is not stretched to length 1, as its direction is rounding."""


def unit(embeddings: Tensor) -> Tensor:
    """Return embeddings (..., D) of length 1; those of almost no length stay short."""
    return normalize(embeddings, dim=-1, eps=_SHORTEST)


def distances(one: Tensor, other: Tensor, distance: Distance) -> Tensor:
    """Return the distance of each row (B, D) to that of ``other``, (B,).

    Euclidean, its square, or 1 - cosine.
    """
    if distance == "cosine":
        return 1 - (unit(one) * unit(other)).sum(dim=-1)
    squared = (one - other).square().sum(dim=-1)
    return squared if distance == "squared" else squared.clamp(min=_FLOOR).sqrt()


def triplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    margin: float = 1.0,
    distance: Distance = "euclidean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) of given triplets (Schroff et al., CVPR 2015).

    Args:
        anchor: Embeddings (B, D).
        positive: Those of rows that are like the anchors (B, D).
        negative: Those of other rows (B, D).
        margin: By how much a negative has to be farther away.
        distance: euclidean, squared (Euclidean) or cosine.

    Returns:
        One loss per triplet (B,).

    Example:
        >>> a, p, n = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.1]]).unsqueeze(1)
        >>> triplet_loss(a, p, n), triplet_loss(a, p, n, margin=0.3)
        (tensor([0.9000]), tensor([0.2000]))
    """
    near, far = (distances(anchor, each, distance) for each in (positive, negative))
    return (near - far + margin).relu()


def batch_hard(embeddings: Tensor, labels: Tensor, *, margin: float, distance: Distance) -> Tensor:
    """Triplet loss of each row with its farthest positive and its nearest negative.

    Hermans et al., "In Defense of the Triplet Loss" (2017, arXiv:1703.07737).

    Args:
        embeddings: One per row (n, D).
        labels: Which rows are alike, (n,).
        margin: As for `triplet_loss`.
        distance: As for `triplet_loss`.

    Returns:
        One loss per anchor, in their order; rows without a positive or a negative are none.

    Example:
        >>> line, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
        >>> batch_hard(line, labels, margin=0.3, distance="euclidean")
        tensor([0.0000, 0.8000, 2.3000, 0.0000])
    """
    rows = anchors(labels)
    with torch.no_grad():
        apart = _all_distances(embeddings.detach(), distance)[rows]
        same = labels[rows, None] == labels
        itself = rows[:, None] == torch.arange(len(labels), device=labels.device)
        far = apart.where(same & ~itself, -torch.inf).argmax(dim=1) if len(rows) else rows
        near = apart.where(~same, torch.inf).argmin(dim=1) if len(rows) else rows
    chosen = embeddings[rows], embeddings[far], embeddings[near]
    return triplet_loss(*chosen, margin=margin, distance=distance)


def nt_xent(embeddings: Tensor, partners: Tensor, temperature: float) -> Tensor:
    """-log softmax of cosine / temperature at the partner, among all others of the batch.

    Chen et al., "A Simple Framework for Contrastive Learning" (ICML 2020, arXiv:2002.05709).

    Args:
        embeddings: Of both views of all rows, (n, D).
        partners: Place of the other view of each, (n,).
        temperature: Divides the cosines.

    Returns:
        One loss per view (n,); 0 if there is one row alone.

    Example:
        >>> nt_xent(torch.eye(2).repeat(2, 1), torch.tensor([2, 3, 0, 1]), 0.5)
        tensor([0.2395, 0.2395, 0.2395, 0.2395])
    """
    directions = unit(embeddings)
    alike = directions @ directions.T / temperature
    itself = torch.eye(len(alike), dtype=torch.bool, device=alike.device)
    return cross_entropy(alike.masked_fill(itself, -torch.inf), partners, reduction="none")


def anchors(labels: Tensor) -> Tensor:
    """Return the rows (n,) for which there is both a like and an unlike row."""
    _, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    others = counts[place]
    found: Tensor = ((others > 1) & (others < len(labels))).nonzero().squeeze(1)
    return found


def _all_distances(embeddings: Tensor, distance: Distance) -> Tensor:
    """Return what orders rows by their distance (n, n), without the rounding of products."""
    embeddings = unit(embeddings) if distance == "cosine" else embeddings
    exact = "donot_use_mm_for_euclid_dist"
    found: Tensor = torch.cdist(embeddings, embeddings, compute_mode=exact)
    return found
