"""The geometric mean of the losses."""

from typing import final

from torch import Tensor

from motet.balancing.families import LossBalancer
from motet.balancing.log import positive


@final
class Geometric(LossBalancer):
    """Minimise the geometric mean of the losses.

    Source: MultiNet++, Chennupati et al. (CVPR workshops 2019, arXiv:1904.08492)::

        (Π L_k)^(1/T) = exp(mean log L_k):    w_k = value / (T L_k)

    Losses must be positive. As the paper's mean, it is 0 as soon as one loss is.

    Raises:
        InputError: If a loss is negative (when called).
    """

    refuses_weight = (
        "a factor on one loss is a factor on the geometric mean, so all tasks alike; use `equal` "
        "or `manual`"
    )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return positive(losses, [self.tasks[index] for index in present]).log().mean().exp()
