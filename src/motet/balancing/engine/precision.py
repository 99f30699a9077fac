"""Balancing does its own arithmetic in full precision, wherever it is called."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def without_autocast(function: Callable[P, R]) -> Callable[P, R]:
    """Switch autocast off inside, as rounding of inner products would decide their signs.

    Loops of other libraries call a whole training step under autocast.

    Returns:
        The function, with nothing else changed.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        enabled = [device for device in _devices() if torch.is_autocast_enabled(device)]
        if not enabled:
            return function(*args, **kwargs)
        with ExitStack() as stack:
            for device in enabled:
                stack.enter_context(torch.autocast(device, enabled=False))
            return function(*args, **kwargs)

    return called


@cache
def _devices() -> tuple[str, ...]:
    accelerator = torch.accelerator.current_accelerator()
    return ("cpu",) if accelerator is None else ("cpu", accelerator.type)
