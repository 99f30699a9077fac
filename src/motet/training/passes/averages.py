"""Running averages that a forward pass changes, saved and restored."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class Averages:
    """The state that a forward pass changes on its own, such as the averages of BatchNorm.

    Args:
        modules: The modules whose buffers are saved.
    """

    def __init__(self, *modules: nn.Module) -> None:
        state = [each for m in modules for each in m.state_dict(keep_vars=True).values()]
        self._tensors = [each for each in state if not isinstance(each, nn.Parameter)]
        self._saved: list[Tensor] = []

    def save(self) -> None:
        """Save the current values."""
        self._saved = [each.clone() for each in self._tensors]

    def restore(self) -> None:
        """Restore the values that were saved last."""
        self._set(self._saved)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Restore the current values at the end of a block.

        A backward pass may follow, whose graph has these tensors and does not read them.
        """
        before = [each.clone() for each in self._tensors]
        yield
        self._set(before)

    def _set(self, values: list[Tensor]) -> None:
        for each, value in zip(self._tensors, values, strict=True):
            each.data.copy_(value)  # no new version, which autograd would refuse
