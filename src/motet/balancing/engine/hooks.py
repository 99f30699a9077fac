"""Post-accumulate hooks of leaves run once a call, when ``.grad`` is final.

`torch.Tensor.register_post_accumulate_grad_hook` promises a hook a gradient that is complete: an
optimizer in the backward pass steps there, and lets ``.grad`` go. Autograd runs such hooks at the
end of each of its own passes; a balancer may need several, or write ``.grad`` itself.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def held(leaves: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Record the leaves whose hooks autograd would run, and run none of them.

    Yields:
        The leaves that were written so far, once for each pass.
    """
    written: list[Tensor] = []
    waiting = {id(hooks): hooks for leaf in leaves if (hooks := leaf._post_accumulate_grad_hooks)}
    kept = [(hooks, dict(hooks)) for hooks in waiting.values()]
    for hooks, _ in kept:
        hooks.clear()
        hooks[-1] = written.append
    try:
        yield written
    finally:
        for hooks, before in kept:
            hooks.clear()
            hooks.update(before)


def run_hooks(leaves: Iterable[Tensor]) -> None:
    """Run the hooks of each leaf once, with gradients off, as autograd does."""
    with torch.no_grad():
        for leaf in {id(leaf): leaf for leaf in leaves}.values():
            for hook in tuple((leaf._post_accumulate_grad_hooks or {}).values()):
                hook(leaf)


@contextmanager
def hooks_once(leaves: Iterable[Tensor]) -> Iterator[None]:
    """Run hooks once at the end of several backward passes, of the leaves that were written."""
    with held(leaves) as written:
        yield
    run_hooks(written)
