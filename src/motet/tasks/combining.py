"""One prediction out of those of several models, or of the members of one; and their spread.

It is a mean of probabilities or numbers, or else the row that most agree on. This is what tasks do
that do not refine `Task.combine`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from motet.states import lengthened
from motet.tasks.prediction import Prediction


def combined(members: Sequence[Prediction]) -> Prediction:
    """Combine the predictions of several models for the same rows.

    Args:
        members: One of each model.

    Returns:
        Means of probabilities, with the most probable class; means of numbers; of sequences, in
        each row the one that agrees with the others in most places.

    Example:
        >>> one = Prediction(torch.tensor([0]), torch.tensor([[0.6, 0.4]]))
        >>> other = Prediction(torch.tensor([1]), torch.tensor([[0.1, 0.9]]))
        >>> combined([one, other]).value
        tensor([1])
    """
    value = torch.stack(_of_equal_length([each.value for each in members]))
    known = [each.probabilities for each in members if each.probabilities is not None]
    mean = torch.stack(known).mean(dim=0) if known else None
    if value.is_floating_point():
        return Prediction(value.mean(dim=0), mean)
    if mean is not None:
        return Prediction(mean.argmax(dim=-1), mean)
    return Prediction(_most_agreed_on(value))


def spread_of(members: Sequence[Prediction]) -> Tensor | None:
    """Return how far the predictions of several models for the same rows are apart.

    Args:
        members: One of each model; each may have a spread of its own, of its members.

    Returns:
        Standard deviation over models, float64, of the probabilities (B, C), or else of the numbers
        (B, ...), over all members if models have some; None of predictions that are neither.

    Example:
        >>> members = [Prediction(torch.tensor([1.0])), Prediction(torch.tensor([3.0]))]
        >>> spread_of(members)
        tensor([1.], dtype=torch.float64)
    """
    known = [each.value if each.probabilities is None else each.probabilities for each in members]
    if not known[0].is_floating_point():
        return None
    variance = torch.stack(_of_equal_length(known)).detach().double().var(dim=0, correction=0)
    own = [each.spread for each in members if each.spread is not None]
    if own:  # the variance of all is that of the means, and the mean of those around them
        variance = variance + torch.stack(own).square().mean(dim=0)
    return variance.sqrt()


def _of_equal_length(values: list[Tensor]) -> list[Tensor]:
    """Fill up sequences (B, L), whose lengths may differ between models."""
    if values[0].dim() < 2 or all(each.shape == values[0].shape for each in values):
        return values
    longest = max(each.shape[1] for each in values)
    return [lengthened(each, longest) for each in values]


def _most_agreed_on(value: Tensor) -> Tensor:
    """Return for each row that of the values (M, B, ...) which agrees with most others."""
    rows = value.flatten(2) if value.dim() > 2 else value.unsqueeze(-1)
    agreeing = torch.stack([(rows == own).sum(dim=(0, 2)) for own in rows])  # (M, B)
    return value[agreeing.argmax(dim=0), torch.arange(value.shape[1])]
