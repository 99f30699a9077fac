"""What heads get in addition to a state: their task's target, and raw outputs of other tasks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.problems import InputError
from motet.states import MISSING, TokenStates, record_of
from motet.tasks import CustomHead, Task
from motet.tasks.heads import SingleOutput
from motet.tasks.map_heads import MapHead
from motet.tasks.token_heads import TokenHead


class HeadArguments:
    """Further arguments of the heads of a model, by name.

    A head that declares ``takes_target = True`` gets ``target``, the target of its task where a
    loss will follow; None in prediction, and for the metrics of predictions. The head of a task
    that reads others declares ``takes_reads = True`` and gets ``reads``, their raw outputs by name.
    """

    def __init__(self) -> None:
        self._targets: set[str] = set()
        self._reads: dict[str, tuple[str, ...]] = {}
        self.tasks: frozenset[str] = frozenset()
        """The tasks whose heads get any."""
        self.forced: frozenset[str] = frozenset()
        """Those whose heads get their own target."""

    def add(self, task: Task, head: nn.Module) -> None:
        """Add a task with its head.

        Raises:
            InputError: If the task reads others, and its head does not take what it reads.
        """
        if _declares(head, "takes_target"):
            self._targets.add(task.name)
        if task.reads_tasks:
            if not _declares(head, "takes_reads"):
                raise InputError(
                    f"task {task.name!r} reads {', '.join(task.reads_tasks)}, but its head does "
                    "not take their raw outputs; give a head that declares takes_reads = True and "
                    "has forward(state, reads)"
                )
            self._reads[task.name] = tuple(task.reads_tasks)
        self.forced = frozenset(self._targets)
        self.tasks = self.forced | self._reads.keys()

    def reads(self, task: str) -> bool:
        """Return whether the head of a task gets the raw outputs of others."""
        return task in self._reads

    def of(
        self,
        task: str,
        raw: Mapping[str, Tensor],
        targets: Mapping[str, Tensor | None] | None,
    ) -> dict[str, Any]:
        """Return the arguments of the head of a task.

        Args:
            task: Its name.
            raw: Raw outputs of the tasks before it.
            targets: Targets by task, where losses will follow.
        """
        found: dict[str, Any] = {}
        if task in self._targets:
            found["target"] = None if targets is None else targets.get(task)
        if task in self._reads:
            found["reads"] = {name: raw[name] for name in self._reads[task]}
        return found


def _declares(head: nn.Module, what: str) -> bool:
    """Return what a head declares, within the modules that tasks put around it."""
    while isinstance(head, CustomHead | SingleOutput | TokenHead | MapHead):
        head = head.module if isinstance(head, CustomHead) else head.head
    return bool(getattr(head, what, False))


def of_labelled_rows(head: nn.Module, state: Any, labelled: Tensor) -> Tensor:
    """Compute what a head gives without its target, for rows with a label.

    Args:
        head: A head that takes its target.
        state: What it reads, of B rows.
        labelled: The rows with a label, (B,).

    Returns:
        Raw outputs (B, ...), missing in the other rows.
    """
    record = record_of(state)
    if record is None or bool(labelled.all()):
        raw: Tensor = head(state, target=None)
        return raw
    if not bool(labelled.any()):  # one row shows the form of all
        labelled = torch.arange(len(labelled), device=labelled.device) == 0
    some: Any = record.take(labelled)
    found: Tensor = head(some if isinstance(some, TokenStates) else some.states, target=None)
    filler = torch.nan if found.is_floating_point() else MISSING
    raw = found.new_full((len(labelled), *found.shape[1:]), filler)
    raw[labelled] = found
    return raw
