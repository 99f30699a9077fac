"""Modules that compute with weights of one task at a time, and what they compute once for all.

An encoder with an adapter for each task is `PerTask`: its result depends on the task whose weights
are in use. `CommonResults` keeps what does not, while several tasks are computed in turn.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from torch import nn

Call = Callable[..., Any]


class PerTask(Protocol):
    """What a module with weights for each task has, beside those of any module."""

    per_task: bool
    """Whether it has such weights."""

    def add_task(self, task: str) -> None:
        """Make the weights of a task."""

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Yield the weights of a task."""

    def of_task(self, task: str) -> AbstractContextManager[None]:
        """Compute with the weights of a task within a block."""

    def adapted_modules(self) -> list[nn.Module]:
        """List the modules that hold weights of tasks."""

    def children(self) -> Iterator[nn.Module]:
        """Yield the modules directly within it."""


def per_task_modules(root: nn.Module) -> list[PerTask]:
    """List the modules within ``root`` that have weights for each task."""
    found: Any = [each for each in root.modules() if getattr(each, "per_task", False)]
    return list(found)


def fixed_parameters(root: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters that are never trained, as modules within ``root`` declare them."""
    for each in root.modules():
        declared: Any = getattr(each, "fixed_parameters", tuple)
        yield from declared()


class CommonResults:
    """Results that do not depend on the task: computed for the first one, and kept for the others.

    Those are the results of encoders without weights of tasks, and within an encoder that has some,
    of all that runs before the first module with such weights: frozen layers below the adapters.

    Args:
        root: What is called for one task after the other, with the same inputs.
    """

    def __init__(self, root: nn.Module) -> None:
        adapting = per_task_modules(root)
        self._adapted = [part for each in adapting for part in each.adapted_modules()]
        changing = {id(inner) for part in self._adapted for inner in part.modules()}
        self._within = [part for each in adapting for part in _unchanged(each, changing)]
        self._beside: list[nn.Module] = [
            branch
            for module in root.modules()
            if callable(branches := getattr(module, "branches", None))
            for branch in branches()
            if not per_task_modules(branch)
        ]
        self._results: dict[int, list[Any]] = {}
        self._calls: Counter[int] = Counter()
        self._changing = False

    def __enter__(self) -> "CommonResults":
        calls = [(each, self._kept(each, always=True)) for each in self._beside]
        calls += [(each, self._kept(each, always=False)) for each in self._within]
        calls += [(each, self._noted(each)) for each in self._adapted]
        self._before = [(each, vars(each).get("forward")) for each, _ in calls]
        for each, call in calls:
            vars(each)["forward"] = call
        return self

    def begin(self) -> None:
        """Begin with the next task."""
        self._calls.clear()
        self._changing = False

    def __exit__(self, *error: object) -> None:
        for each, call in self._before:
            del vars(each)["forward"]
            if call is not None:
                vars(each)["forward"] = call

    def _kept(self, module: nn.Module, always: bool) -> Call:
        forward, known = module.forward, self._results.setdefault(id(module), [])

        def call(*given: Any, **named: Any) -> Any:
            place = self._calls[id(module)]
            self._calls[id(module)] += 1
            if place < len(known):
                return known[place]
            found = forward(*given, **named)
            if always or not self._changing:
                known.append(found)
            return found

        return call

    def _noted(self, module: nn.Module) -> Call:
        forward = module.forward

        def call(*given: Any, **named: Any) -> Any:
            self._changing = True
            return forward(*given, **named)

        return call


def _unchanged(module: PerTask | nn.Module, changing: set[int]) -> Iterator[nn.Module]:
    """Yield the largest modules without weights of tasks."""
    for child in module.children():
        if changing.isdisjoint(map(id, child.modules())):
            yield child
        elif id(child) not in changing:
            yield from _unchanged(child, changing)


@contextmanager
def task_in_use(root: nn.Module, task: str) -> Iterator[None]:
    """Compute with the weights of a task within a block."""
    with ExitStack() as uses:
        for each in per_task_modules(root):
            uses.enter_context(each.of_task(task))
        yield
