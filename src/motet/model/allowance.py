"""Building a model from a file of unknown origin, without taking more memory than the file does."""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from motet.problems import InputError

_FACTORIES = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.eye, torch.arange, torch.linspace),
    *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.empty_strided),
    *(torch.tril_indices, torch.triu_indices),
}
_LEAST = 1024
"""Bytes that a tensor counts at least, as it takes time to make."""


class Allowance(TorchFunctionMode):
    """Limits the bytes of the tensors that are made in a block; each is refused before it is made.

    Args:
        size: Bytes of all tensors together.
        message: Of the error.
    """

    def __init__(self, size: float, message: str) -> None:
        super().__init__()
        self._left, self._message = size, message

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Count a tensor before it is made.

        Returns:
            What the function returns.

        Raises:
            InputError: If nothing is left.
        """
        given = dict(kwargs or {})
        if function in _FACTORIES:
            self._left -= max(_size(function, args, given), _LEAST)
            if self._left < 0:
                raise InputError(self._message)
        return function(*args, **given)


def _size(function: Callable[..., Tensor], args: tuple[Any, ...], given: dict[str, Any]) -> float:
    """Return the bytes of a tensor, from one without memory."""
    given = {name: value for name, value in given.items() if name not in ("generator", "out")}
    try:
        made = function(*args, **{**given, "device": "meta", "pin_memory": False})
    except (RuntimeError, TypeError, OverflowError):  # more elements than torch can count
        return inf
    return made.numel() * made.element_size()
