"""Memory for task gradients that is kept from one step to the next.

A fresh buffer of T' x P numbers costs about half as much as filling it, as the system hands out
memory page by page. So on CPUs a balancer's buffer waits for its next step, and goes when the
balancer goes; it is no state and is never saved. On GPUs torch's allocator does this for everyone.
"""

from weakref import WeakKeyDictionary

from torch import Tensor

from motet.balancing.families import Balancer

_KEPT: WeakKeyDictionary[Balancer, Tensor] = WeakKeyDictionary()


def lend(balancer: Balancer) -> Tensor | None:
    """Hand out the memory that waits for a balancer, once."""
    return _KEPT.pop(balancer, None)


def give_back(balancer: Balancer, memory: Tensor) -> None:
    """Keep memory that nobody looks at any more for the balancer's next step."""
    if memory.device.type == "cpu":
        _KEPT[balancer] = memory
