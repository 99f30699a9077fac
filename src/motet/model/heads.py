"""What heads get in addition to a state: their task's target, and what they read of other tasks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.model.member_heads import LoopedHeads, member_heads
from motet.model.reads import states_read
from motet.problems import InputError
from motet.registry import HEADS
from motet.states import MISSING, TokenStates, record_of
from motet.tasks import CustomHead, Task
from motet.tasks.heads import SingleOutput, TaskHead
from motet.tasks.map_heads import MapHead
from motet.tasks.reads import Read
from motet.tasks.token_heads import TokenHead

_WIDER = (("rows",), ("tokens",), ("map",))
"""What built-in heads read that get further features."""


class ReadingHead(nn.Module):
    """A built-in head that gets what is read of other tasks as further features.

    A head of words, or of places of a map, gets it at each of them, as in slot filling that reads
    the intent (Qin et al., EMNLP 2019, arXiv:1909.02188, who predict one for each word).

    Args:
        head: Maps features of width D + R to raw outputs, for R numbers that are read.
    """

    takes_reads = True

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, features: Tensor | TokenStates, reads: Mapping[str, Tensor], **more: Any
    ) -> Tensor:
        """Return raw outputs for features and what is read, (B,) or (B, r) each.

        Features are (B, D), those of words `TokenStates`, those of a map (B, D, H, W). Those of
        members are (B, K, D), and what is read of them (B, K) or (B, K, r).
        """
        wider: Any
        if isinstance(features, TokenStates):
            wider = features._replace(states=_at_each_place(features.states, reads))
        elif features.dim() == 4:
            wider = _at_each_place(features.movedim(1, -1), reads).movedim(-1, 1)
        else:
            columns = [_columns(each, features.dim() - 1) for each in reads.values()]
            wider = torch.cat([features, *columns], dim=-1)
        raw: Tensor = self.head(wider, **more)
        return raw


def _at_each_place(states: Tensor, reads: Mapping[str, Tensor]) -> Tensor:
    """Join states (B, ..., D) and what is read of their rows, R numbers: (B, ..., D + R)."""
    places = states.shape[1:-1]
    each_place = (slice(None), *(None for _ in places))
    columns = [_columns(each, 1)[each_place].expand(-1, *places, -1) for each in reads.values()]
    return torch.cat([states, *columns], dim=-1)


def _columns(each: Tensor, axes: int) -> Tensor:
    """Return numbers (B, ...) with all but the first axes in one, which is new for one number."""
    return each.flatten(axes) if each.dim() > axes else each.unsqueeze(-1)


def make_head(
    task: Task,
    width: int,
    others: Mapping[str, Task],
    width_of: Callable[[Task], int],
    members: int | None = None,
) -> nn.Module:
    """Build the head of a task.

    Args:
        task: The task.
        width: Width of the features that it reads.
        others: All tasks by name.
        width_of: Returns the width of the features of another task.
        members: How many members give features, each of which has its own; one for all if None.

    Returns:
        The head; a built-in one of a task that reads others is wider by what is read.

    Raises:
        InputError: If what is read has not one width for every row, or members cannot have a head
            each.
    """
    check_reads(task, others)
    more = 0
    if widened := _is_widened(task):
        for name, read in task.reads_of_tasks.items():
            wide = read.what == "features"
            more += width_of(others[name]) if wide else others[name].outputs
    if members is None:
        head = task.make_head(width + more)
    else:
        head = member_heads(task, width + more, members)
    return ReadingHead(head) if widened else head


def check_reads(task: Task, others: Mapping[str, Task]) -> None:
    """Check that a task can get what it reads of others.

    Args:
        task: The task.
        others: All tasks by name.

    Raises:
        InputError: If it cannot.
    """
    task.check_read(others)
    if not _is_widened(task):
        return
    about: dict[str, Any] = {"option": "reads", "owner": f"task {task.name!r}"}
    if states_read(task) not in _WIDER:
        raise InputError(
            f"found {', '.join(task.reads_tasks)}, but the head of the task reads "
            f"{' or '.join(states_read(task))}, not rows, tokens or a map alone; give a head "
            "that declares takes_reads = True and has forward(state, reads), or remove reads",
            **about,
        )
    for name, read in task.reads_of_tasks.items():
        if read.what == "features":
            continue
        if states_read(others[name]) != ("rows",):
            raise InputError(
                f"found {name!r}, whose raw output is not one row of numbers, as it reads "
                f"{' or '.join(states_read(others[name]))}; read its features: reads: "
                f"{{{name}: {{what: features}}}}",
                **about,
            )
        others[name].require_outputs()


def start_alike(heads: Mapping[str, nn.Module]) -> None:
    """Let the heads of tasks start from the same weights, those of the first.

    Args:
        heads: By task.

    Raises:
        InputError: If they have parameters of different shapes.
    """
    kinds: dict[object, list[str]] = {}
    for task, head in heads.items():
        shapes = tuple((name, tuple(each.shape)) for name, each in head.named_parameters())
        kinds.setdefault(shapes, []).append(task)
    if len(kinds) > 1:
        alike = "; ".join(", ".join(tasks) for tasks in kinds.values())
        raise InputError(
            f"found gradients, and heads of different shapes ({alike}); expected heads of one "
            "shape for all tasks, as gradients can be compared only where all tasks start from "
            "the same weights; choose by: performance, or by: data",
            option="groups.by",
        )
    first, *others = (list(head.parameters()) for head in heads.values())
    with torch.no_grad():
        for each in others:
            for parameter, value in zip(each, first, strict=True):
                parameter.copy_(value)


def _is_widened(task: Task) -> bool:
    """Return whether a task has a built-in head that gets what it reads as further features."""
    return bool(task.reads_tasks) and not task.takes_reads_itself and _is_built_in(task)


def _is_built_in(task: Task) -> bool:
    if not isinstance(task.head, Mapping):
        return False
    member = HEADS[task.head.get("type", "mlp")]
    return isinstance(member, type) and issubclass(member, TaskHead)


class HeadArguments:
    """Further arguments of the heads of a model, by name.

    A head that declares ``takes_target = True`` gets ``target``, the target of its task where a
    loss will follow; None in prediction, and for the metrics of predictions. The head of a task
    that reads others declares ``takes_reads = True`` and gets ``reads``, what it reads of each by
    name; built-in heads take it as further features.
    """

    def __init__(self) -> None:
        self._targets: set[str] = set()
        self._reads: dict[str, dict[str, Read]] = {}
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
            self._reads[task.name] = task.reads_of_tasks
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
        features: Callable[[str], Tensor],
    ) -> dict[str, Any]:
        """Return the arguments of the head of a task.

        Args:
            task: Its name.
            raw: Raw outputs of the tasks before it.
            targets: Targets by task, where losses will follow.
            features: Returns the features (B, D) that the head of a task reads.
        """
        found: dict[str, Any] = {}
        if task in self._targets:
            found["target"] = None if targets is None else targets.get(task)
        if task in self._reads:
            reads = found["reads"] = {}
            for name, read in self._reads[task].items():
                value = raw[name] if read.what == "output" else features(name)
                reads[name] = value.detach() if read.detach else value
        return found


def _declares(head: nn.Module, what: str) -> bool:
    """Return what a head declares, within the modules that tasks put around it."""
    around = (CustomHead, SingleOutput, TokenHead, MapHead, ReadingHead, LoopedHeads)
    while isinstance(head, around) and not getattr(head, what, False):
        head = _within(head)
    return bool(getattr(head, what, False))


def _within(head: Any) -> nn.Module:
    if isinstance(head, LoopedHeads):
        return next(iter(head.heads))
    found: nn.Module = head.module if isinstance(head, CustomHead) else head.head
    return found


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
