"""Running averages that a forward pass changes, saved and restored."""

from torch import Tensor, nn


class Averages:
    """The state that a forward pass changes on its own, such as the averages of BatchNorm.

    Args:
        model: The modules whose buffers are saved.
    """

    def __init__(self, model: nn.Module) -> None:
        state = model.state_dict(keep_vars=True).values()
        self._tensors = [each for each in state if not isinstance(each, nn.Parameter)]
        self._saved: list[Tensor] = []

    def save(self) -> None:
        """Save the current values."""
        self._saved = [each.clone() for each in self._tensors]

    def restore(self) -> None:
        """Restore the values that were saved last."""
        for each, saved in zip(self._tensors, self._saved, strict=True):
            each.copy_(saved)
