"""A head: one residual block before the linear layer."""

from torch import Tensor, nn


class Residual(nn.Module):
    """Add a hidden layer's output to the features, and map the sum to outputs.

    Args:
        width: Number of features.
        outputs: Numbers per row.
        hidden: Width of the hidden layer.
    """

    def __init__(self, width: int, outputs: int, *, hidden: int = 16) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.last = nn.Linear(width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.last(features + self.block(features))
