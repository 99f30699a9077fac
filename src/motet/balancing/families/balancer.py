"""What every balancer has: task names, task weights, and state that is loaded by task name.

What a balancer remembers is a buffer, or a parameter where the caller's optimizer trains it, with
its task axes in the order of ``balancer.tasks``. It is saved together with those names and loaded
by name, so a task may be added, dropped or moved between two runs. It stays in float32 or wider
when a module that holds the balancer is cast to half precision.
"""

import json
import warnings
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from motet.balancing.families.needs import Needs, Reads, needs_of
from motet.balancing.families.protocols import KnownTask
from motet.other_classes import CLASSES
from motet.problems import InputError, hint, shown
from motet.wide_state import WideState

LONG_EPOCH = 2000
"""Steps without an `end_epoch` after which a loop is suspected never to call it."""
LONG_WAIT = 100
"""Steps without a call of every step after which a loop is suspected never to make it."""
_NAMES = "task_names"


@dataclass
class _Expected:
    """An expected call that was not made yet."""

    call: str
    within: int
    otherwise: str
    steps: int = 0


class _Named:
    """Refuses to make `LossBalancer` itself, the name of a class to be used in other libraries.

    It comes after `Balancer` among the bases, so that ``__init__`` gives the signature of members.
    """

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        if cls.__name__ in CLASSES and getattr(cls, "__abstractmethods__", False):
            raise InputError(f"{cls.__name__} is a base of balancers; use {CLASSES[cls.__name__]}")
        return super().__new__(cls)


class Balancer(WideState, _Named, ABC):
    """Turns the losses or gradients of several tasks into one update.

    Args:
        tasks: Names of the tasks; T and every ``(T, ...)`` follow their order.

    Raises:
        InputError: If there is not a task or a name is given twice.
    """

    reads: ClassVar[Reads]
    """What it reads; set by its family."""

    task_axes: ClassVar[Mapping[str, int]] = {}
    """Buffers and parameters with one row per task, and how many leading axes are tasks."""

    compares: ClassVar[bool] = True
    """Whether its weights follow from the losses or gradients of several tasks together."""

    reads_priorities: ClassVar[bool] = False
    """Whether the ``priority`` of the tasks has an effect."""

    draws: ClassVar[bool] = False
    """Whether it draws from torch's generators; those of this package draw from (seed, step)."""

    option_defaults: ClassVar[Mapping[str, Any]] = {}
    """Defaults of shared options (`motet.balancing.families.options`) that differ from theirs."""

    refuses_weight: ClassVar[str] = ""
    """Why a task weight would have no effect; empty if it has one."""

    scales_losses: ClassVar[bool] = False
    """Whether a balancer that reads gradients also scales the losses, as seen by the tasks' own
    parameters; see `loss_scales`."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        if isinstance(tasks, (Iterator, str)):  # a text would be read letter by letter
            raise InputError(f"found {shown(tasks)}, expected a list of names", option="tasks")
        names = {task for task in tasks if isinstance(task, str)}
        if not tasks or len(names) < len(tasks):
            raise InputError(
                f"found {list(tasks)}, expected one or more names, each once", option="tasks"
            )
        self.tasks = tuple(tasks)
        self.task_weights = nn.Buffer(torch.ones(len(tasks)))
        self._brought: dict[str, float] = {}  # weights of the tasks themselves
        self._expected: dict[str, _Expected] = {}  # about the loop, not the method, so no state

    @classmethod
    def filled_in(cls, options: Mapping[str, Any], tasks: Iterable[KnownTask]) -> Mapping[str, Any]:
        """Add options that follow from the tasks, where they were not given.

        Called when `motet.balancing.create`, or `motet.Trainer`, makes the balancer by name for
        tasks, before its constructor checks the options.

        Returns:
            All options.
        """
        return options

    @cached_property
    def needs(self) -> Needs:
        """What it needs of a step and of the training loop."""
        return needs_of(self)

    def weight(self, task: str) -> float:
        """Return the user's weight of a task, 1 unless set."""
        return float(self.task_weights[self._index(task)])

    def set_weight(self, task: str, weight: float) -> None:
        """Set the weight of a task, from the next step on.

        Raises:
            InputError: If the task is unknown, the weight is not positive, or the balancer would
                undo it.
        """
        index = self._index(task)
        if not _is_number(weight) or not 0 < weight < float("inf"):
            raise InputError(f"weight of {task!r} is {weight!r}, expected a finite number > 0")
        if self.refuses_weight and weight != 1:
            name = type(self).__name__
            raise InputError(f"{name} takes no weight for {task!r}: {self.refuses_weight}")
        self.task_weights[index] = float(weight)

    def take_weight(self, task: str, weight: float) -> None:
        """Multiply the weight of a task by the one that the task itself has.

        Raises:
            InputError: If the task is unknown, or the balancer would undo the weight.
        """
        self.set_weight(task, self.weight(task) * weight)
        self._brought[task] = weight

    def weight_beside(self, task: str) -> float:
        """Return the weight of a task without the task's own."""
        return self.weight(task) / self._brought.get(task, 1.0)

    def priority_of(self, task: str) -> str:
        """Return the priority that a task has here, if the balancer reads priorities."""
        return "normal"

    def loss_scales(self, present: Tensor) -> Tensor:
        """Return the factors (T',) of losses that the tasks' own parameters see."""
        return torch.ones(len(present))

    def objective(self, losses: Tensor, present: Tensor) -> Tensor | None:
        """Return what the parameters of a balancer that reads gradients minimise, if it has any.

        Args:
            losses: Losses (T',), without a graph.
            present: Which tasks they are of.
        """
        return None

    def _index(self, task: str) -> int:
        if task not in self.tasks:
            raise InputError(f"no task is named {task!r}; {hint(str(task), self.tasks)}")
        return self.tasks.index(task)

    def expect(self, call: str, *, within: int, otherwise: str) -> None:
        """Declare a call that the training loop must make, to warn a loop that never makes it.

        Args:
            call: The method, as messages write it: ``end_epoch(means)``.
            within: Steps after which its absence causes one warning; with 0 it is an error at
                every step.
            otherwise: What happens without the call, and what to do; the end of the message.
        """
        self._expected[_name_of(call)] = _Expected(call, within, otherwise)

    def heard(self, call: str) -> None:
        """Record that an expected call was made; once is enough."""
        self._expected.pop(call, None)

    def count_step(self) -> None:
        """Count a step, and warn of expected calls that were not made in time.

        Raises:
            InputError: If a step needs one of them before it.
        """
        name = type(self).__name__
        for each in list(self._expected.values()):
            each.steps += 1
            if each.within == 0:
                raise InputError(f"{name} needs `{each.call}` before a step: {each.otherwise}")
            if each.steps == each.within:
                warnings.warn(
                    f"{name} has seen {each.within} steps and no `{each.call}`: {each.otherwise}",
                    stacklevel=3,
                )

    # State by name: beside the tensors, a state dict holds the names their rows stand for, as
    # bytes in a tensor, so that safetensors can hold them too.

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        names = json.dumps(self.tasks).encode()
        destination[prefix + _NAMES] = torch.tensor(list(names), dtype=torch.uint8)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        stored = state_dict.pop(prefix + _NAMES, None)
        names = self.tasks if stored is None else json.loads(bytes(stored.tolist()))
        if tuple(names) != self.tasks:
            for key, axes in {"task_weights": 1, **self.task_axes}.items():
                if prefix + key in state_dict:
                    own, saved = getattr(self, key).detach(), state_dict[prefix + key]
                    state_dict[prefix + key] = _reordered(own, saved, self.tasks, names, axes)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _name_of(call: str) -> str:
    return call.partition("(")[0]


def _reordered(
    own: Tensor, saved: Tensor, tasks: Sequence[str], names: Sequence[str], axes: int
) -> Tensor:
    """Put the saved rows of known tasks where ``own`` has them; other rows stay as they are."""
    both = [task for task in tasks if task in names]
    here = torch.tensor([tasks.index(task) for task in both], dtype=torch.long)
    there = torch.tensor([list(names).index(task) for task in both], dtype=torch.long)
    result = own.clone()
    result[torch.meshgrid(*[here] * axes, indexing="ij")] = saved[
        torch.meshgrid(*[there] * axes, indexing="ij")
    ].to(result)
    return result


def by_task(
    values: Mapping[str, Any], tasks: Sequence[str], what: str, *, complete: bool
) -> Iterator[tuple[int, Any]]:
    """Match a mapping of task names to the order of ``tasks``.

    Yields:
        The index of each named task and its value.

    Raises:
        InputError: If a name is not a task, or ``complete`` and a task is not named.
    """
    if not isinstance(values, Mapping):
        raise InputError(
            f"found {shown(values)}, expected a mapping of task names to values", option=what
        )
    for name in values:
        if name not in tasks:
            raise InputError(
                f"found {name!r}, which is not a task; {hint(str(name), tasks)}", option=what
            )
    missing = [task for task in tasks if task not in values]
    if complete and missing:
        raise InputError(
            f"found no value for {', '.join(missing)}, expected one for each task", option=what
        )
    for index, task in enumerate(tasks):
        if task in values:
            yield index, values[task]


def numbers_by_task(
    values: Mapping[str, Any], tasks: Sequence[str], what: str
) -> Iterator[tuple[int, float]]:
    """Match numbers by task to the order of ``tasks``, as `by_task` does.

    Yields:
        The index of each named task and its number.

    Raises:
        InputError: If a name is not a task, or its value is not a number.
    """
    for index, value in by_task(values, tasks, what, complete=False):
        if not _is_number(value):
            raise InputError(
                f"found {shown(value)} for {tasks[index]!r}, expected a number", option=what
            )
        yield index, float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, Real | Tensor) and not isinstance(value, bool)


def wrong_result(balancer: Balancer, found: object, expected: str) -> str:
    """Describe an unusable result of `forward`, most likely of a user's own balancer."""
    what = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    return f"forward of {type(balancer).__name__} returned {what}, expected {expected}"


def wrong_losses(losses: Tensor, count: int) -> str:
    """Describe losses that are not (T',)."""
    return (
        f"losses has shape {tuple(losses.shape)}, expected ({count},): one number for each present "
        "task. Reduce each task's loss first, e.g. with `.mean()`."
    )
