"""Balancing is never traced: it works on the graph that autograd made, and on NumPy arrays.

A training step may be compiled as a whole; balancing then runs between two compiled graphs.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch._functorch.config  # torch does not import these by itself
import torch.compiler.config

P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """Keep ``torch.compile`` out of a function and all that it calls.

    Returns:
        The function, with nothing else changed.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if "torch._dynamo" not in sys.modules:  # nothing is compiled, and its import takes a second
            return function(*args, **kwargs)
        disabled: Callable[P, R] | None = getattr(function, _DISABLED, None)
        if disabled is None:
            disabled = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
            setattr(function, _DISABLED, disabled)
        return disabled(*args, **kwargs)

    return called


_DISABLED = "_without_compiling"
_TAG = "+all-buffers-kept"


def keep_buffers() -> None:
    """Let modules that are compiled from now on keep what several backward passes need.

    By default the first pass writes to buffers that it alone needs. Modules compiled so are in the
    cache of torch on disk, which does not distinguish the two kinds: with the other kind, gradients
    of later passes would be wrong. So the cache gets a tag, too.
    """
    torch._functorch.config.donated_buffer = False
    if _TAG not in torch.compiler.config.cache_key_tag:
        torch.compiler.config.cache_key_tag += _TAG
