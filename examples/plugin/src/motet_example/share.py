"""A task type: numbers from 0 to 1, such as the share of a bill that was paid."""

from functools import partial
from typing import final

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from motet.tasks import Prediction, Task


@final
class Share(Task):
    """Predict a number from 0 to 1, by a logistic link.

    Targets are numbers from 0 to 1, (B,), NaN where missing; raw outputs are logits.
    """

    kind, labels = "share", "number"

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        entropy = partial(binary_cross_entropy_with_logits, reduction="none")
        return self.add_up(entropy, raw, target, weights)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(raw.double().sigmoid())
