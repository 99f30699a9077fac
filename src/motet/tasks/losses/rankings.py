"""Losses of rankings: pure formulas over the lists of a batch, without padding.

Everywhere s are the scores (n,), relevance (n,), and ``lists`` (n,) the number of each row's list,
from 0 without gaps. The pairs of a list of n rows cost memory n x n.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def ranknet(
    scores: Tensor, relevance: Tensor, lists: Tensor, *, weigh_by_ndcg: bool = False
) -> Tensor:
    """Mean over the pairs of a list, rel_i > rel_j, of softplus(-(s_i - s_j)).

    Burges et al., "Learning to Rank using Gradient Descent" (ICML 2005). Rows of equal relevance
    are no pair. With ``weigh_by_ndcg`` each pair counts by how much the NDCG would change if the
    two rows changed places in the present order, as in LambdaRank (Burges et al., NeurIPS 2006);
    rows with equal scores are ordered as they are given.

    Args:
        scores: One per row (n,).
        relevance: One per row (n,).
        lists: Number of the list of each row (n,).
        weigh_by_ndcg: Whether to weight the pairs.

    Returns:
        One loss per list that has a pair, in the order of the lists.

    Example:
        >>> scores, relevance = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([2.0, 1.0, 0.0])
        >>> ranknet(scores, relevance, torch.zeros(3, dtype=torch.long))
        tensor([1.2512])
    """
    better, worse = _pairs(lists)
    chosen = relevance[better] > relevance[worse]
    better, worse = better[chosen], worse[chosen]
    losses = softplus(scores[worse] - scores[better])
    if weigh_by_ndcg:
        losses = losses * _ndcg_changes(scores.detach(), relevance, lists, better, worse)
    of_pair = lists[better]
    count = torch.bincount(of_pair, minlength=number_of_lists(lists))
    return _added(losses, of_pair, len(count))[count > 0] / count[count > 0]


def listnet(scores: Tensor, relevance: Tensor, lists: Tensor) -> Tensor:
    """Cross-entropy -sum softmax(relevance) log softmax(s) of each list.

    Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach" (ICML 2007), with
    the probability of each row to be the first.

    Args:
        scores: One per row (n,).
        relevance: One per row (n,).
        lists: Number of the list of each row (n,).

    Returns:
        One loss per list; 0 for a list of one row.

    Example:
        >>> listnet(torch.zeros(3), torch.tensor([2.0, 1.0, 0.0]), torch.tensor([0, 0, 0]))
        tensor([1.0986])
    """
    wanted = _log_softmax(relevance.to(scores.dtype), lists).exp()
    return _added(-wanted * _log_softmax(scores, lists), lists, number_of_lists(lists))


def number_of_lists(lists: Tensor) -> int:
    """Return how many lists there are; waits for the device."""
    return int(lists.max()) + 1 if len(lists) else 0


def discounts(positions: Tensor) -> Tensor:
    """Return 1 / log2(position + 1) of positions counted from 1, float64."""
    return 1 / (positions.double() + 1).log2()


def gains(relevance: Tensor, lists: Tensor) -> Tensor:
    """Return 2^rel - 1 over 2^(largest rel of the list), which no relevance makes overflow."""
    relevance = relevance.double()
    largest = relevance.new_zeros(number_of_lists(lists))
    largest = largest.scatter_reduce(0, lists, relevance, "amax")[lists]
    return (relevance - largest).exp2() - (-largest).exp2()


def positions_by(values: Tensor, lists: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the rows of each list by falling values; equal ones stay as they are.

    Returns:
        Rows (n,), list by list, and their positions in their lists, counted from 1.
    """
    order = values.argsort(descending=True, stable=True)
    order = order[lists[order].argsort(stable=True)]
    sizes = torch.bincount(lists)
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return order, torch.arange(1, len(values) + 1, device=values.device) - first


def _ndcg_changes(
    scores: Tensor, relevance: Tensor, lists: Tensor, better: Tensor, worse: Tensor
) -> Tensor:
    gain = gains(relevance, lists)
    order, position = positions_by(scores, lists)
    discount = torch.empty_like(gain)
    discount[order] = discounts(position)
    order, position = positions_by(relevance, lists)
    ideal = _added(gain[order] * discounts(position), lists[order], number_of_lists(lists))
    change = (gain[better] - gain[worse]) * (discount[better] - discount[worse]).abs()
    return (change / ideal[lists[better]]).to(scores.dtype)


def _pairs(lists: Tensor) -> tuple[Tensor, Tensor]:
    """Return all pairs of rows of the same list, each in both orders and with itself."""
    order = lists.argsort(stable=True)
    sizes = torch.bincount(lists)
    others = sizes.repeat_interleave(sizes)  # of each row in order, how many rows its list has
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    first = others.cumsum(0) - others
    places = torch.arange(int(others.sum()), device=lists.device)
    second = places - (first - starts).repeat_interleave(others)
    return order.repeat_interleave(others), order[second]


def _log_softmax(values: Tensor, lists: Tensor) -> Tensor:
    """Return the log-softmax within each list (n,)."""
    count = number_of_lists(lists)
    top = values.new_full((count,), -torch.inf)
    shifted = values - top.scatter_reduce(0, lists, values.detach(), "amax")[lists]
    return shifted - _added(shifted.exp(), lists, count).log()[lists]


def _added(values: Tensor, lists: Tensor, count: int) -> Tensor:
    return values.new_zeros(count).index_add(0, lists, values)
