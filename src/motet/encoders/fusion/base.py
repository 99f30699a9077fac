"""The interface of fusions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Fusion(nn.Module, ABC):
    """Joins the features of several encoders, one for each modality.

    A subclass is made with the width of each encoder's features and, if its constructor has the
    parameter ``names``, their names; it has keyword-only arguments as its options, and sets
    ``width``. Where words are labelled it is also called for every word.

    Rows may lack modalities. The features of one that a row lacks are zeros, and ``present`` is
    False there; a fusion that ignores it treats a missing modality as one whose features are zeros.
    """

    width: int
    """Width of the joined features."""
    names: tuple[str, ...] = ()
    """Names of the modalities, in the order of their features; set by the model."""
    modality_dropout: float = 0.0
    """Probability with which a modality that is present counts as missing in a row of training; one
    at least stays. The model draws it once per row and forward pass."""
    weights: Tensor | None = None
    """How much each modality counted in each row of the last forward pass, (B, M), detached; None
    of a fusion that weighs none."""

    @abstractmethod
    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        """Join features.

        Args:
            features: Those of each modality, (..., Dᵢ); zeros where it is missing.
            present: Whether each modality is there, bool (..., M); None if all are everywhere.

        Returns:
            Joined features, (..., width).
        """
