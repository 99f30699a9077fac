"""Gradients of plain backward passes, joined over processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from motet.balancing.engine.averaging import Averaging
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.hooks import run_hooks
from motet.processes import Processes


@contextmanager
def joined_gradients(parameters: Sequence[Tensor], processes: Processes) -> Iterator[None]:
    """Add to ``.grad`` the mean over processes of what backward passes in a block would add.

    Args:
        parameters: All that they may reach.
        processes: The processes; one alone adds what it finds.
    """
    if not processes.several:
        yield
        return
    before = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    yield
    averaging = Averaging(parameters, processes)
    for parameter, kept in zip(parameters, before, strict=True):
        averaging.add(parameter, parameter.grad)
        parameter.grad = kept
    waiting: dict[int, Tensor] = {}
    for parameter, mean in averaging.means():
        add_to_grad(parameter, mean, waiting, owned=True)
    run_hooks(waiting.values())


def add_penalty(penalty: Tensor | None, factor: float) -> None:
    """Add the gradient of a penalty of parameters, which is the same on every process.

    It may reach parameters of tasks that are not in the step, which are in none of its lists.
    """
    if penalty is not None:
        (factor * penalty).backward()  # type: ignore[no-untyped-call]  # torch's
