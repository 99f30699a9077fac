"""Balancers that read the inner products of the task gradients."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motet.balancing.families.balancer import wrong_losses, wrong_result
from motet.balancing.families.gradient import GradientBalancer
from motet.balancing.families.options import GramianOptions
from motet.balancing.families.uncompiled import uncompiled
from motet.balancing.solvers.solution import NOT_FINITE, OK, Solution
from motet.options import Unpack, defaults_of
from motet.problems import InputError


class GramianBalancer(GradientBalancer):
    """Finds task weights from the inner products of the task gradients.

    The direction is the weighted sum of the gradients. ``forward`` finds weights in the scale of
    the paper; the caller gets them in the chosen scale. One present task alone has weight 1 in
    every scale, as there is nothing to balance, but is held to a ``max_norm``. Gradients that are
    not finite give NaN weights and leave the balancer as it was, so that the step can be skipped.

    A custom method defines one method::

        class Smallest(GramianBalancer):
            def forward(self, gramian, losses, present):
                return (gramian.diagonal() == gramian.diagonal().min()).double()

    Args:
        tasks: Names of the tasks.
        **options: See `GramianOptions`. ``scale`` is "sum": T equal gradients g give T g, as the
            plain sum does; "mean": they give g; or "paper": the formula of the source. Weights are
            used for ``every`` steps before they are computed again, or until other tasks are
            present or a task weight changes; components count their steps separately. ``momentum``
            is the share a of the previous weights in new ones, w ← a w + (1 - a) w_new, which keeps
            noise out of the direction (CR-MOGM, Zhou et al., NeurIPS 2022); the first weights are
            used as they are.
    """

    reads = "gramian"

    task_axes: ClassVar[Mapping[str, int]] = {
        "kept": 1,
        "kept_for": 1,
        "kept_with": 1,
        "kept_at": 1,
        "running": 1,
        "running_since": 1,
    }

    scales_rows: ClassVar[bool] = True
    """Whether a task weight scales the task's gradient; other methods read `preference`."""

    max_norm: float | None = None
    """Longest direction, for methods whose recipe has one."""

    def __init__(self, tasks: Sequence[str], **options: Unpack[GramianOptions]) -> None:
        known: Any = {**defaults_of(GramianOptions), **self.option_defaults, **options}
        super().__init__(tasks, known)
        self.every: int = known["every"]
        self.momentum: float = known["momentum"]
        self.status = OK
        """How the last solve went: "ok", or what was done instead and why."""
        self.resolution = 0.0
        """Share of the largest eigenvalue below which one is the last Gramian's rounding."""
        self.kept = nn.Buffer(torch.zeros(len(tasks)))
        """Weights of the last solve, (T,)."""
        self.kept_for = nn.Buffer(torch.zeros(len(tasks)))
        """Further steps for which each task's weight holds, (T,)."""
        self.kept_with = nn.Buffer(torch.zeros(len(tasks)))
        """Tasks whose weights were found together have one number here, (T,)."""
        self.kept_at = nn.Buffer(torch.zeros(len(tasks)))
        """Task weights with which they were found, (T,)."""
        self.running = nn.Buffer(torch.zeros(len(tasks)))
        """Weights that momentum acts on, (T,)."""
        self.running_since = nn.Buffer(torch.zeros(len(tasks)))
        """1 for tasks that have such a weight, (T,)."""

    @uncompiled
    def __call__(
        self,
        gramian: Tensor,
        losses: Tensor | None = None,
        present: Tensor | None = None,
        loss_weights: Tensor | None = None,
    ) -> Tensor:
        """Weigh the tasks that ``present`` (T',) indexes, all by default.

        Args:
            gramian: Inner products of the task gradients, (T', T').
            losses: Losses (T',), for methods that read them.
            present: Which tasks the rows are.
            loss_weights: What the loss balancer inside gave to the losses (T',), if it was called
                already.

        Returns:
            Weights (T',), float64 on the CPU.

        Raises:
            InputError: If the Gramian is not (T', T'), or `forward` does not return weights (T',).
        """
        present = torch.arange(len(self.tasks)) if present is None else present.cpu()
        count = len(present)
        if gramian.shape != (count, count):
            raise InputError(
                f"gramian has shape {tuple(gramian.shape)}, expected ({count}, {count}): the inner "
                "products of one gradient per task"
            )
        if losses is not None and losses.shape != present.shape:
            raise InputError(wrong_losses(losses, count))
        inner = gramian.detach().cpu().double()  # the one transfer of a step
        finite = bool(np.isfinite(inner.numpy()).all())
        if finite and self.losses is not None:
            found = self.loss_weights(losses, present) if loss_weights is None else loss_weights
            loss_weights = found.detach().cpu().double()
            finite = bool(loss_weights.isfinite().all())
        if not finite:
            self.status = NOT_FINITE
            return torch.full((count,), torch.nan, dtype=torch.float64)
        dtype = gramian.dtype if gramian.is_floating_point() else torch.float64
        self.resolution = 4 * count * torch.finfo(dtype).eps
        self.count_step()
        kept = self.reuse(present)
        if kept is not None:
            return kept if loss_weights is None else kept * loss_weights
        self.status = OK
        unit = _inverse_lengths(inner) if self.unit else None
        if loss_weights is not None:
            inner = inner * torch.outer(loss_weights, loss_weights)
            losses = None if losses is None else losses * loss_weights.to(losses)
        rows = inner if unit is None else inner * torch.outer(unit, unit)
        own = self.preference(present)
        scaled = self.scales_rows and bool((own.numpy() != 1).any())
        rows = rows * torch.outer(own, own) if scaled else rows
        weights = self._found(rows, losses, present)
        if self.scale != "paper" and count > 1:
            weights = self.in_sum_scale(weights)
            weights = weights / count if self.scale == "mean" else weights
        weights = weights * own if scaled else weights
        weights = weights if unit is None else weights * unit
        if self.max_norm is not None:
            length = (weights @ inner @ weights).clamp(min=0).sqrt()
            weights = weights * (self.max_norm / length).clamp(max=1)
        if self.momentum > 0 and count > 1:
            weights = self._moved(weights, present)
        self._keep(weights, present)
        return weights if loss_weights is None else weights * loss_weights

    def reuse(self, present: Tensor) -> Tensor | None:
        """Count a step for which no Gramian is needed, if kept weights still hold.

        Returns:
            The weights (T',), of losses that a loss balancer inside has weighted; None if a Gramian
            is needed.
        """
        if self.every == 1:
            return None
        here = present.numpy()
        left, together = _numbers(self.kept_for), _numbers(self.kept_with)
        complete = np.isin(together, together[here]).sum() == len(here)
        same = (_numbers(self.kept_at)[here] == _numbers(self.task_weights)[here]).all()
        if not (complete and same and (left[here] > 0).all()):
            return None
        self.kept_for[present.to(self.kept_for.device)] -= 1
        return self.kept.cpu().double()[present]

    def preference(self, present: Tensor) -> Tensor:
        """Return the task weights of the present tasks (T',), float64 on the CPU."""
        return torch.from_numpy(_numbers(self.task_weights)[present.numpy()].astype(np.float64))

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        """Turn weights (T',) from the paper's scale into the one in which T equal g give T g."""
        return weights

    def accept(self, solution: Solution) -> Tensor:
        """Record the status of a solver's result; return its weights."""
        self.status = solution.status
        return torch.from_numpy(solution.weights)

    @abstractmethod
    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        """Find weights (T',) from a Gramian (T', T'), float64 on the CPU."""

    def _found(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        if len(present) == 1:
            return (
                torch.ones(1, dtype=torch.float64) if self.scales_rows else self.preference(present)
            )
        weights = super().__call__(gramian, losses, present)
        if not isinstance(weights, Tensor) or weights.shape != present.shape:
            raise InputError(
                wrong_result(self, weights, f"weights ({len(present)},), one per present task")
            )
        weights = weights.detach().cpu().double()
        if self.status != OK:
            still = gramian.diagonal() == 0
            zero = [self.tasks[index] for index in present[still]]
            self.status += f" (gradient 0: {', '.join(zero)})" if zero else ""
        return weights

    def _moved(self, weights: Tensor, present: Tensor) -> Tensor:
        """Mix new weights (T',) with those before, where there are some."""
        here = present.to(self.running.device)
        share = self.momentum * self.running_since[here].cpu().double()
        weights = torch.lerp(weights, self.running[here].cpu().double(), share)
        self.running[here] = weights.to(self.running)
        self.running_since[here] = 1.0
        return weights

    def _keep(self, weights: Tensor, present: Tensor) -> None:
        """Keep weights for the steps to come; those found together with one of these are void."""
        if self.every == 1:
            return
        number = 1.0 + float(present.min())
        together = _numbers(self.kept_with)
        shared = np.isin(together, [number, *together[present.numpy()]]) & (together > 0)
        void, here = torch.from_numpy(shared).to(self.kept.device), present.to(self.kept.device)
        for buffer in (self.kept, self.kept_for, self.kept_with):
            buffer[void] = 0.0
        self.kept[here] = weights.to(self.kept)
        self.kept_for[here] = float(self.every - 1)
        self.kept_with[here] = number
        self.kept_at[here] = self.task_weights[here]


def _inverse_lengths(gramian: Tensor) -> Tensor:
    """Return 1 / ‖g‖ of each row (T',), 1 for a row of zeros."""
    lengths = gramian.diagonal().clamp(min=0).sqrt()
    return torch.where(lengths > 0, 1 / lengths, 1.0)


def _numbers(buffer: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = buffer.detach().cpu().numpy()
    return numbers
