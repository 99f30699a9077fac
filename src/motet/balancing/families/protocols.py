"""What a balancer may ask of the training loop beyond losses or gradients, a protocol each."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class ReadsEpochs(Protocol):
    """A balancer that wants the mean loss of each task after every epoch."""

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Take note of the mean losses of an epoch, over all its rows and processes."""
