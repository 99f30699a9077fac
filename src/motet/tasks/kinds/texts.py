"""A text per row, as tokens."""

from collections.abc import Callable
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from motet.states import MISSING, lengthened
from motet.tasks.kinds.base import LabelKind
from motet.tasks.prediction import Prediction
from motet.tasks.statistics import LabelStatistics


@final
class TextLabels(LabelKind):
    """Tokens (B, L); see `motet.tasks.token_texts`. L differs between batches."""

    name: ClassVar[str] = "text"
    default_metrics: ClassVar[tuple[str, ...]] = ("exact_match", "token_f1", "perplexity")

    def missing(self, rows: int, device: torch.device) -> Tensor:
        return torch.full((rows, 1), MISSING, device=device)

    def aligned(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        length = max(value.shape[1], target.shape[1])
        return lengthened(value, length), lengthened(target, length)

    def trivial(
        self, labels: LabelStatistics, metric: str, restore: Callable[[Tensor], Tensor]
    ) -> Prediction:
        """Return the text of the most rows, or weight, (1, L); of several, the first by tokens."""
        texts = restore(labels.sample.rows)
        rows = texts.cpu().numpy()
        found, places = np.unique(rows, axis=0, return_inverse=True)
        weights = None if labels.weights is None else labels.sample.weights.cpu().numpy()
        counts = np.bincount(places.reshape(-1), weights)  # NumPy 2.0 gives (N, 1)
        most = torch.from_numpy(found[counts.argmax()]).to(texts)
        return Prediction(most.unsqueeze(0))
