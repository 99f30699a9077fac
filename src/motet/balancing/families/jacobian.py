"""Balancers that read the task gradients themselves."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from motet.balancing.families.balancer import Balancer
from motet.balancing.solvers.solution import NOT_FINITE, OK
from motet.problems import InputError


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
        self.count_step()
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
