"""Equal weights: the sum of the losses."""

from typing import final

from torch import Tensor

from motet.balancing.families import LossBalancer


@final
class Equal(LossBalancer):
    """Add up the losses, each times its task's weight: the baseline that, tuned, is hard to beat.

    Kurin et al. (NeurIPS 2022, arXiv:2201.04122) found that this sum, with weight decay, dropout
    and early stopping, matches specialised methods. Weights are never renormalised.
    """

    fixed_weights = True

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return losses.sum()
