"""What auxiliary tasks on pairs of texts have in common: yes or no for each row."""

from typing import ClassVar

import torch
from torch import Tensor

from motet.tasks.losses.elements import binary_cross_entropy
from motet.tasks.text_auxiliary import Text, TextAuxiliary
from motet.vocabularies import Vocabulary

BEFORE, FIRST, BETWEEN, SECOND, AFTER, PADDING = range(6)
"""Parts of the tokens of a pair, in their order."""


class PairAuxiliary(TextAuxiliary):
    """An auxiliary task on pairs; its target (B,) is 1, 0, or NaN where it has none."""

    reads_pairs: ClassVar[bool] = True
    loss_name = "binary_cross_entropy"

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.add_up_masked(binary_cross_entropy, raw, target, weights)


def parts_of(text: Text, vocabulary: Vocabulary) -> Tensor:
    """Return which part of a pair each token is, (B, L), by the numbers of this module.

    Example:
        >>> ids = torch.tensor([[2, 7, 8, 3, 9, 3, 0]])
        >>> segments = torch.tensor([[0, 0, 0, 0, 1, 1, 0]])
        >>> parts_of({"ids": ids, "segments": segments}, Vocabulary(50, special=(0, 2, 3)))
        tensor([[0, 1, 1, 2, 3, 4, 5]])
    """
    ids, second = text["ids"], text["segments"] == 1
    special = torch.isin(ids, torch.tensor(vocabulary.special, device=ids.device))
    begun = (~special).cumsum(1) > 0
    first = torch.where(special, torch.where(begun, BETWEEN, BEFORE), FIRST)
    parts = torch.where(second, torch.where(special, AFTER, SECOND), first)
    return torch.where(ids == 0, PADDING, parts)


def are_pairs(parts: Tensor) -> Tensor:
    """Return which rows have two texts, (B,)."""
    return (parts == FIRST).any(1) & (parts == SECOND).any(1)
