"""Memory for task gradients that is kept from one step to the next.

A fresh buffer of T' x P numbers costs about half as much as filling it, as the system provides
memory page by page. So on CPUs a balancer's buffer is kept for its next step, and freed with the
balancer; it is not state and is never saved. On GPUs torch's allocator does this for all memory.
"""

from weakref import WeakKeyDictionary

from torch import Tensor

from motet.balancing.families import Balancer

_KEPT: WeakKeyDictionary[Balancer, Tensor] = WeakKeyDictionary()


def lend(balancer: Balancer) -> Tensor | None:
    """Return the memory kept for a balancer, once."""
    return _KEPT.pop(balancer, None)


def give_back(balancer: Balancer, memory: Tensor) -> None:
    """Keep memory that is no longer read for the balancer's next step."""
    if memory.device.type == "cpu":
        _KEPT[balancer] = memory
