"""A task type: numbers from 0 to 1, such as the share of a bill that was paid."""

from typing import final

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from motet.options import TaskOptions, Unpack, checked
from motet.tasks import Prediction, Task


@final
class Share(Task):
    """Predict a number from 0 to 1, by a logistic link.

    Targets are numbers from 0 to 1, (B,), NaN where missing; raw outputs are logits.

    Args:
        name: The task's name.
        **common: Options of every task.
    """

    kind, labels, outputs = "share", "number", 1

    @checked
    def __init__(self, name: str, **common: Unpack[TaskOptions]) -> None:
        super().__init__(name, **common)

    def loss(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        known = ~target.isnan()
        found = binary_cross_entropy_with_logits(
            raw.reshape(-1)[known], target[known], reduction="sum"
        )
        return found, self.count(target)

    def count(self, target: Tensor) -> Tensor:
        return (~target.isnan()).sum().float()

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(raw.reshape(-1).sigmoid())
