"""The interface of fusions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
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

    def describe(self) -> dict[str, Any]:
        """Return a description, as plain values."""
        found = {
            "type": type(self).__name__,
            "modalities": list(self.names),
            "width": self.width,
            "modality_dropout": self.modality_dropout,
            "parameters": sum(each.numel() for each in self.parameters()),
        }
        kept = ("heads", "gates", "groups", "attends")
        return found | {name: getattr(self, name) for name in kept if hasattr(self, name)}

    def weight_sums(self) -> Tensor | None:
        """Add up the weights of the last forward pass.

        Returns:
            For each modality the sum of its weights, and the number of rows with some modality,
            (M + 1,); None of a fusion that weighs none.
        """
        if self.weights is None:
            return None
        rows = self.weights.flatten(0, -2).double()
        return torch.cat([rows.sum(0), (rows > 0).any(1).sum()[None]])

    def mean_weights(self, sums: Tensor | None = None) -> dict[str, float]:
        """Return the mean weight of each modality over rows that have some.

        This waits for the device.

        Args:
            sums: What `weight_sums` returned, perhaps added up; those of the last forward pass if
                left out.

        Returns:
            Weights by the name of the modality; empty if there are none, or no row.
        """
        sums = self.weight_sums() if sums is None else sums
        if sums is None or not sums[-1]:
            return {}
        return dict(zip(self.names, (sums[:-1] / sums[-1]).tolist(), strict=True))

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
