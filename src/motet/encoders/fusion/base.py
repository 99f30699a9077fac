"""The interface of fusions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Fusion(nn.Module, ABC):
    """Joins the features of several encoders.

    A subclass is made with the width of each encoder's features, has keyword-only arguments as its
    options, and sets ``width``. Where words are labelled it is also called for every word.
    """

    width: int
    """Width of the joined features."""

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Join features (..., Dᵢ) into (..., width)."""
