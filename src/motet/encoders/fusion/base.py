"""The interface of fusions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from motet.states import TokenStates


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
    masks_texts: bool = True
    """Whether a text without words is a missing modality; otherwise its features are those that its
    encoder finds."""
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


class Exchanging(Fusion):
    """A fusion in which sequences read each other before features are joined."""

    @abstractmethod
    def exchange(
        self, sequences: Mapping[str, TokenStates], present: Mapping[str, Tensor | None]
    ) -> dict[str, TokenStates]:
        """Let sequences read each other.

        Args:
            sequences: The states of each modality that has some per token, by name.
            present: For each of them which rows have it, (B,); None if all have it.

        Returns:
            New states of the same shapes, padding included.
        """

    @property
    @abstractmethod
    def exchanging(self) -> frozenset[str]:
        """Names of the modalities whose states per token are read or changed."""
