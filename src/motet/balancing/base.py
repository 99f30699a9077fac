"""What every balancer is, and the three kinds told apart by what they read.

A `LossBalancer` reads the losses (T',): one backward pass, whatever the number of tasks. A
`GramianBalancer` reads the inner products of the task gradients (T', T'), a `JacobianBalancer` the
gradients themselves (T', P): T' passes through the shared part each, and the last keeps T' x P
numbers. T' counts the tasks that are present.

What a balancer remembers is a buffer, or a parameter where the caller's optimizer trains it, with
its task axes in the order of ``balancer.tasks``. It is saved together with those names and loaded
by name, so a task may be added, dropped or moved between two runs.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from motet.balancing.solvers.solution import NOT_FINITE, OK, Solution
from motet.problems import InputError, hint

_NAMES = "task_names"


@runtime_checkable
class ReadsEpochs(Protocol):
    """A balancer that wants the mean loss of each task after every epoch."""

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Take note of the mean losses of an epoch, over all its rows and processes."""


class Balancer(nn.Module, ABC):
    """Turns what several tasks say about the shared parameters into one update.

    Args:
        tasks: Names of the tasks; T and every ``(T, ...)`` follow their order.

    Raises:
        InputError: If there is no task or a name is given twice.
    """

    task_axes: ClassVar[Mapping[str, int]] = {}
    """Buffers and parameters with one row per task, and how many leading axes are tasks."""

    refuses_weight: ClassVar[str] = ""
    """Why a task weight would have no effect; empty if it has one."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks or len(set(tasks)) < len(tasks):
            raise InputError(f"tasks is {list(tasks)}, expected one or more names, each once")
        self.tasks = tuple(tasks)
        self.task_weights = nn.Buffer(torch.ones(len(tasks)))

    def weight(self, task: str) -> float:
        """Return the user's weight of a task, 1 unless set."""
        return float(self.task_weights[self._index(task)])

    def set_weight(self, task: str, weight: float) -> None:
        """Say how much a task counts; takes effect at the next step.

        Raises:
            InputError: If the task is unknown, the weight is not positive, or the balancer would
                undo it.
        """
        index = self._index(task)
        if not weight > 0 or weight == float("inf"):
            raise InputError(f"weight of {task!r} is {weight}, expected a finite number > 0")
        if self.refuses_weight and weight != 1:
            name = type(self).__name__
            raise InputError(f"{name} takes no weight for {task!r}: {self.refuses_weight}")
        self.task_weights[index] = weight

    def _index(self, task: str) -> int:
        if task not in self.tasks:
            raise InputError(f"no task is named {task!r}; {hint(task, self.tasks)}")
        return self.tasks.index(task)

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


class LossBalancer(Balancer):
    """Combines the losses into one number to minimise: one backward pass for all tasks.

    A method of your own is one method::

        class Worst(LossBalancer):
            def forward(self, losses, present):
                return losses.max()
    """

    def __call__(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        """Combine losses (T',) of the tasks that ``present`` (T',) indexes, all by default.

        Returns:
            The total to minimise, a scalar.

        Raises:
            InputError: If there is not one loss per present task.
        """
        if present is None:
            present = torch.arange(len(self.tasks), device=losses.device)
        if losses.shape != present.shape:
            raise InputError(
                f"losses has shape {tuple(losses.shape)}, expected ({len(present)},): one number "
                "for each present task. Reduce each task's loss first, e.g. with `.mean()`."
            )
        total: Tensor = super().__call__(losses * self.task_weights[present].to(losses), present)
        if not isinstance(total, Tensor) or total.dim() != 0:
            found = tuple(total.shape) if isinstance(total, Tensor) else type(total).__name__
            raise InputError(
                f"forward of {type(self).__name__} returned {found}, expected a scalar tensor: "
                "the total to minimise, e.g. the sum of the weighted losses"
            )
        return total

    @abstractmethod
    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        """Combine losses (T',), already times the task weights, into a scalar."""


class GramianBalancer(Balancer):
    """Finds task weights from the inner products of the task gradients.

    The direction is the weighted sum of the gradients. ``forward`` finds weights in the scale of
    the paper; the caller gets them in the scale asked for. One present task alone has weight 1 in
    every scale: there is nothing to balance. Gradients that are not finite give NaN weights and
    leave the balancer as it was, so that the step can be skipped.

    A method of your own is one method::

        class Smallest(GramianBalancer):
            def forward(self, gramian, losses, present):
                return (gramian.diagonal() == gramian.diagonal().min()).double()

    Args:
        tasks: Names of the tasks.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean": they give g;
            "paper": the formula of the source.
        every: Steps for which weights are used before they are found anew. They are found at once
            if other tasks are present.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"kept": 1, "kept_for": 1}

    scales_rows: bool = False
    """Whether a task weight scales the task's gradient; other methods read `preference`."""

    max_norm: float | None = None
    """Longest direction, for methods whose recipe has one; acts in the paper's scale."""

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        scale: Literal["sum", "mean", "paper"] = "sum",
        every: int = 1,
    ) -> None:
        super().__init__(tasks)
        self.scale, self.every = scale, every
        self.status = OK
        """How the last solve went: "ok", or what was done instead and why."""
        self.resolution = 0.0
        """Share of the largest eigenvalue below which one is the last Gramian's rounding."""
        self.kept = nn.Buffer(torch.zeros(len(tasks)))
        """Weights found last, (T,)."""
        self.kept_for = nn.Buffer(torch.zeros(len(tasks)))
        """Further steps for which each task's weight holds, (T,); 0 for tasks that were absent."""

    def __call__(
        self, gramian: Tensor, losses: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        """Weigh the tasks that ``present`` (T',) indexes, all by default.

        Args:
            gramian: Inner products of the task gradients, (T', T').
            losses: Losses (T',), for methods that read them.
            present: Which tasks the rows are.

        Returns:
            Weights (T',), float64 on the CPU.

        Raises:
            InputError: If the Gramian is not (T', T').
        """
        present = torch.arange(len(self.tasks)) if present is None else present.cpu()
        count = len(present)
        if gramian.shape != (count, count):
            raise InputError(
                f"gramian has shape {tuple(gramian.shape)}, expected ({count}, {count}): the inner "
                "products of one gradient per task"
            )
        inner = gramian.detach().cpu().double()  # the one transfer of a step
        if not inner.isfinite().all():
            self.status = NOT_FINITE
            return torch.full((count,), torch.nan, dtype=torch.float64)
        dtype = gramian.dtype if gramian.is_floating_point() else torch.float64
        self.resolution = 4 * count * torch.finfo(dtype).eps
        own = self._own(present)
        rows = own if self.scales_rows else torch.ones_like(own)
        kept = self.reuse(present)
        if kept is not None:
            return kept
        self.status = OK
        weights = self._found(inner * torch.outer(rows, rows), losses, present, own / rows)
        if self.scale != "paper" and count > 1:
            weights = self.in_sum_scale(weights) / (count if self.scale == "mean" else 1)
        weights = weights * rows
        if self.scale == "paper" and self.max_norm is not None:
            length = (weights @ inner @ weights).clamp(min=0).sqrt()
            weights = weights * (self.max_norm / length).clamp(max=1)
        self._keep(weights, present)
        return weights

    def reuse(self, present: Tensor) -> Tensor | None:
        """Count a step for which no Gramian is needed, if kept weights still hold.

        Returns:
            The weights (T',); None says that a Gramian is needed.
        """
        if self.every == 1:
            return None
        left = self.kept_for.cpu()
        here = torch.zeros(len(self.tasks), dtype=torch.bool)
        here[present] = True
        if not torch.equal(left > 0, here):
            return None
        self.kept_for[present.to(self.kept_for.device)] -= 1
        return self.kept.cpu().double()[present]

    def preference(self, present: Tensor) -> Tensor:
        """Return the task weights of the present tasks (T',), float64 on the CPU."""
        return self._own(present)

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        """Turn weights (T',) from the paper's scale into the one in which T equal g give T g."""
        return weights

    def accept(self, solution: Solution) -> Tensor:
        """Take over what a solver reports; return its weights."""
        self.status = solution.status
        return torch.from_numpy(solution.weights)

    @abstractmethod
    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        """Find weights (T',) from a Gramian (T', T'), float64 on the CPU."""

    def _found(
        self, gramian: Tensor, losses: Tensor | None, present: Tensor, alone: Tensor
    ) -> Tensor:
        if len(present) == 1:
            return alone
        weights: Tensor = super().__call__(gramian, losses, present)
        if self.status != OK:
            still = gramian.diagonal() == 0
            zero = [self.tasks[index] for index in present[still]]
            self.status += f" (gradient 0: {', '.join(zero)})" if zero else ""
        return weights

    def _keep(self, weights: Tensor, present: Tensor) -> None:
        if self.every > 1:
            self.kept.zero_()
            self.kept_for.zero_()
            here = present.to(self.kept.device)
            self.kept[here] = weights.to(self.kept)
            self.kept_for[here] = float(self.every - 1)

    def _own(self, present: Tensor) -> Tensor:
        return self.task_weights.detach().cpu().double()[present]


class JacobianBalancer(Balancer):
    """Finds the direction from the task gradients themselves, where inner products do not suffice.

    A task weight scales the task's gradient. ``forward`` finds the direction in the scale of the
    paper. Gradients that are not finite give a direction of NaN and leave the balancer as it was.

    Args:
        tasks: Names of the tasks.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean": they give g;
            "paper": the formula of the source.
    """

    def __init__(
        self, tasks: Sequence[str], *, scale: Literal["sum", "mean", "paper"] = "sum"
    ) -> None:
        super().__init__(tasks)
        self.scale = scale
        self.status = OK
        """How the last step went: "ok", or what was done instead and why."""

    def __call__(
        self, jacobian: Tensor, losses: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        """Combine the gradients of the tasks that ``present`` (T',) indexes, all by default.

        Args:
            jacobian: One flattened gradient per task, (T', P).
            losses: Losses (T',), for methods that read them.
            present: Which tasks the rows are.

        Returns:
            The direction (P,), same dtype and device.

        Raises:
            InputError: If there is not one row per present task.
        """
        if present is None:
            present = torch.arange(len(self.tasks), device=jacobian.device)
        if jacobian.dim() != 2 or len(jacobian) != len(present):
            raise InputError(
                f"jacobian has shape {tuple(jacobian.shape)}, expected ({len(present)}, P): one "
                "flattened gradient per task"
            )
        rows = jacobian.detach()
        largest = torch.linalg.vector_norm(rows, torch.inf) if rows.numel() else rows.new_zeros(())
        if not bool(largest.isfinite()):  # a device sync
            self.status = NOT_FINITE
            return torch.full_like(rows[0], torch.nan)
        own = self.task_weights[present.to(self.task_weights.device)].to(rows)
        if bool((own != 1).any()):
            rows = rows * own[:, None]  # a copy of J
        self.status = OK
        direction: Tensor = super().__call__(rows, losses, present)
        if self.scale != "paper" and len(rows) > 1:
            direction = self.in_sum_scale(direction, len(rows))
        return direction / len(rows) if self.scale == "mean" else direction

    def in_sum_scale(self, direction: Tensor, count: int) -> Tensor:
        """Turn a direction from the paper's scale into the one in which T equal g give T g."""
        return direction

    @abstractmethod
    def forward(self, jacobian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        """Find the direction (P,) from gradients (T', P)."""


def by_task(
    values: Mapping[str, Any], tasks: Sequence[str], what: str, *, complete: bool
) -> Iterator[tuple[int, Any]]:
    """Match a mapping of task names to the order of ``tasks``.

    Yields:
        The index of each named task and its value.

    Raises:
        InputError: If a name is no task, or ``complete`` and a task is not named.
    """
    for name in values:
        if name not in tasks:
            raise InputError(f"{what} names {name!r}, which is no task; {hint(name, tasks)}")
    missing = [task for task in tasks if task not in values]
    if complete and missing:
        raise InputError(f"{what} leaves out {', '.join(missing)}; expected a value for each task")
    for index, task in enumerate(tasks):
        if task in values:
            yield index, values[task]
