"""Loops over sequences in a graph that is exported, whose length is not known when it is traced.

A graph has no Python, so a loop over L places becomes `torch.scan`, and packed sequences, whose
shapes depend on values, become masks. Checks that read values are left out of graphs: their results
are undefined for inputs that a model would refuse.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear


def exporting() -> bool:
    """Return whether a graph is being exported."""
    return torch.compiler.is_exporting()


def scanned(
    step: Callable[[Any, Any], tuple[Any, Any]], first: Any, given: Any, *, reverse: bool = False
) -> tuple[Any, Any]:
    """Loop over the first axis of tensors.

    Args:
        step: Maps a carry and the values at one place to the next carry and an output.
        first: The first carry, contiguous.
        given: Tensors (L, ...).
        reverse: Whether to begin at the end.

    Returns:
        The last carry, and the outputs (L, ...), in the order of the places.
    """
    from torch._higher_order_ops.scan import scan  # not public yet

    carry, outputs = scan(step, first, given, dim=0, reverse=reverse)
    return carry, outputs


def lstm_states(network: nn.LSTM, states: Tensor, lengths: Tensor) -> Tensor:
    """Compute what an LSTM gives of packed sequences in evaluation mode.

    Args:
        network: The network, with ``batch_first``.
        states: (B, L, D).
        lengths: Number of states of each sequence, (B,).

    Returns:
        (B, L, width), 0 after the last state of a sequence.
    """
    places = torch.arange(states.shape[1], device=states.device)
    there = (places < lengths[:, None]).transpose(0, 1).unsqueeze(2)
    directions = 2 if network.bidirectional else 1
    for layer in range(network.num_layers):
        weights = network.all_weights[layer * directions : (layer + 1) * directions]
        states = torch.cat(
            [
                _direction(states, there, own, reverse=place == 1)
                for place, own in enumerate(weights)
            ],
            dim=2,
        )
    return states


def _direction(
    states: Tensor, there: Tensor, weights: Sequence[Tensor], *, reverse: bool
) -> Tensor:
    """Compute one layer in one direction; a state is kept over places that are not there."""
    inner, recurrent, *biases = weights
    bias = biases[0] + biases[1] if biases else None
    given = linear(states, inner, bias).transpose(0, 1)
    empty = states.new_zeros(states.shape[0], recurrent.shape[1])

    def step(carry: Any, now: Any) -> tuple[Any, Tensor]:
        hidden, cell = carry
        gates, real = now
        enter, forget, new, leave = (gates + hidden @ recurrent.T).chunk(4, dim=1)
        grown = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        shown = leave.sigmoid() * grown.tanh()
        shown, grown = torch.where(real, shown, hidden), torch.where(real, grown, cell)
        return (shown, grown), shown.clone()

    _, found = scanned(step, (empty, empty.clone()), (given, there), reverse=reverse)
    return torch.where(there, found, 0.0).transpose(0, 1)


def best_tags(
    emissions: Tensor, mask: Tensor, start: Tensor, between: Tensor, end: Tensor
) -> Tensor:
    """Return the path of the highest score, as `motet.tasks.chains.best_path` does.

    Args:
        emissions: (B, L, C).
        mask: (B, L).
        start: (C,).
        between: (C, C).
        end: (C,).

    Returns:
        Tags (B, L), any where there is no token.
    """
    given, there = emissions.transpose(0, 1), mask.transpose(0, 1).unsqueeze(2)
    first = torch.arange(emissions.shape[1], device=emissions.device) == 0
    stay = torch.arange(emissions.shape[2], device=emissions.device)

    def forth(score: Tensor, now: Any) -> tuple[Tensor, Tensor]:
        emission, real, begins = now
        longer, origin = (score.unsqueeze(2) + between).max(dim=1)
        longer = torch.where(real, longer + emission, score)
        score = torch.where(begins, start + emission, longer)
        return score, torch.where(real & ~begins, origin, stay)

    def back(tag: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        return origin.gather(1, tag), tag.clone()

    score, origins = scanned(forth, torch.zeros_like(given[0]).contiguous(), (given, there, first))
    last = (score + end).argmax(dim=1, keepdim=True)
    tags: Tensor = scanned(back, last, origins, reverse=True)[1]
    return tags.squeeze(2).transpose(0, 1)


def bag(values: Tensor, vectors: Tensor, *, mean: bool) -> Tensor:
    """Return the sum or mean of vectors, as torch's ``embedding_bag`` without padding.

    Args:
        values: Places of vectors (B, G), 0 for none.
        vectors: (n, D).
        mean: Whether to divide by the number of vectors.

    Returns:
        (B, D), 0 for a row without vectors.
    """
    real = (values != 0).unsqueeze(2)
    total = torch.where(real, embedding(values, vectors), 0.0).sum(dim=1)
    return total / real.sum(dim=1).clamp(min=1) if mean else total
