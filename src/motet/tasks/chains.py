"""Sums, scores and best paths over chains of tags, batched, as tensor functions.

A path y over the L tokens of a sequence scores

    start[y_1] + sum_t e_t[y_t] + sum_t A[y_(t-1), y_t] + end[y_L].

The shapes are the same throughout: emissions e (B, L, C) with L >= 1, mask (B, L), True for tokens,
which come first in each row; a `Chain` of start (C,), A (C, C) and end (C,), or (B, C) if rows may
end differently. Sums over paths and best paths take L steps of B x C x C; nothing waits for the
device. A row without tokens has one path, of score 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from motet.states import MISSING
from motet.tracing import best_tags, exporting


class Chain(NamedTuple):
    """What a path earns besides its emissions."""

    start: Tensor
    between: Tensor
    end: Tensor


def log_partition(emissions: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """Return log sum over paths of exp(score), (B,), by the forward recursion.

    alpha_t(j) = log sum_i exp(alpha_(t-1)(i) + A_ij) + e_t(j).

    Args:
        emissions: (B, L, C).
        mask: (B, L).
        chain: Of C tags.
    """
    first, *rest = emissions.unbind(dim=1)  # one backward for all, where slices have one each
    alpha = chain.start + first
    for place, emission in enumerate(rest, start=1):
        longer = _log_sum(alpha, chain.between) + emission
        alpha = longer.where(mask[:, place, None], alpha)
    return _log_sum(alpha, chain.end.unsqueeze(-1)).squeeze(1).where(mask[:, 0], 0)


def path_score(emissions: Tensor, tags: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """Return the score of one path per row, (B,).

    Args:
        emissions: (B, L, C).
        tags: The path, (B, L); any tag where there is no token.
        mask: (B, L).
        chain: Of C tags.
    """
    earned = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
    moves = chain.between[tags[:, :-1], tags[:, 1:]]
    end = chain.end.expand(emissions.shape[::2]).gather(1, last_of(tags, mask)).squeeze(1)
    ends = chain.start[tags[:, 0]] + end
    inner = earned.where(mask, 0).sum(dim=1) + moves.where(mask[:, 1:], 0).sum(dim=1)
    return (ends + inner).where(mask[:, 0], 0)


def best_path(emissions: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """Return the path of the highest score (Viterbi, 1967), (B, L), -100 where there is no token.

    Of equal paths it takes the lower tags, from the last one on.
    """
    if exporting():
        return best_tags(emissions, mask, *chain).where(mask, MISSING)
    first, *rest = emissions.unbind(dim=1)
    stay = torch.arange(emissions.shape[2], device=emissions.device)
    score = chain.start + first
    origins = []
    for place, emission in enumerate(rest, start=1):
        there = mask[:, place, None]
        longer, origin = (score.unsqueeze(2) + chain.between).max(dim=1)
        score = (longer + emission).where(there, score)
        origins.append(origin.where(there, stay))  # padding repeats the last tag
    tags = [(score + chain.end).argmax(dim=1, keepdim=True)]
    for origin in reversed(origins):
        tags.append(origin.gather(1, tags[-1]))
    return torch.cat(tags[::-1], dim=1).where(mask, MISSING)


def _log_sum(alpha: Tensor, moves: Tensor) -> Tensor:
    """Return log sum_i exp(alpha_i + moves_ij), (B, K), for moves (C, K).

    Terms below e^-80 of the largest are raised to that: the result is the same to rounding, and on
    a CPU exp is many times slower where it underflows, as it does for forbidden moves.
    """
    terms = alpha.unsqueeze(2) + moves
    largest = terms.detach().amax(dim=1, keepdim=True)
    return (terms - largest).clamp(min=-80).exp().sum(dim=1).log() + largest.squeeze(1)


def last_of(values: Tensor, mask: Tensor) -> Tensor:
    """Return what the last token of each row has, (B, 1); that of a place if there is no token."""
    return values.gather(1, (mask.sum(dim=1, keepdim=True) - 1).clamp(min=0))
