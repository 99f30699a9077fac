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
        """Return the most frequent text, (1, L); of several, the one whose tokens come first."""
        texts = restore(labels.sample.rows)
        rows = texts.cpu().numpy()
        found, counts = np.unique(rows, axis=0, return_counts=True)
        most = torch.from_numpy(found[counts.argmax()]).to(texts)
        return Prediction(most.unsqueeze(0))
