"""Balancers that read the task gradients themselves."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from motet.balancing.families.balancer import wrong_losses, wrong_result
from motet.balancing.families.gradient import GradientBalancer
from motet.balancing.families.options import GradientOptions
from motet.balancing.families.uncompiled import uncompiled
from motet.balancing.solvers.solution import NOT_FINITE, OK
from motet.options import Unpack, defaults_of
from motet.problems import InputError
from motet.processes import Processes
from motet.wide_state import at_least_float32

_PART = "columns_part"
"""Key of a state dict: which part, of how many, its columns are, where they are not all."""


class JacobianBalancer(GradientBalancer):
    """Finds the direction from the task gradients themselves, where inner products do not suffice.

    A task weight scales the task's gradient. ``forward`` finds the direction in the scale of the
    paper. Values that are not finite give a direction of NaN and leave the balancer as it was.

    A method may remember a number per task and shared parameter, in buffers that start as (T, 0)
    and are extended to (T, P), as zeros, at the first step. Columns are identified by position:
    every step must have the same shared parameters in the same order, or `move_columns` be called
    before it.

    Args:
        tasks: Names of the tasks.
        **options: See `GradientOptions`. ``scale`` is "sum": T equal gradients g give T g, as the
            plain sum does; "mean": they give g; or "paper": the formula of the source.
    """

    reads = "jacobian"

    column_state: ClassVar[tuple[str, ...]] = ()
    """Buffers (T, P) that remember a number per shared parameter."""

    combines: ClassVar[bool] = False
    """Whether ``forward`` sets `weights`: the direction is a weighted sum of gradients."""

    fresh: ClassVar[bool] = False
    """Whether ``forward`` returns a new tensor, which it does not keep; any other is copied."""

    divisible: ClassVar[bool] = False
    """Whether processes may hold columns each: ``forward`` treats every column alone, and sums over
    columns with `over_columns`."""

    def __init__(self, tasks: Sequence[str], **options: Unpack[GradientOptions]) -> None:
        known: Any = {**defaults_of(GradientOptions), **self.option_defaults, **options}
        super().__init__(tasks, known)
        self.status = OK
        """How the last step went: "ok", or what was done instead and why."""
        self.weights: Tensor | None = None
        """How much each present task counted in the last direction (T',), float64 on the CPU."""
        self._holders = Processes()
        self._part = (0, 1)  # which part, of how many, the columns of its state are

    @uncompiled
    def __call__(
        self,
        jacobian: Tensor,
        losses: Tensor | None = None,
        present: Tensor | None = None,
        loss_weights: Tensor | None = None,
        *,
        in_place: bool = False,
        holders: Processes | None = None,
    ) -> Tensor:
        """Combine the gradients of the tasks that ``present`` (T',) indexes, all by default.

        Args:
            jacobian: One flattened gradient per task, (T', P).
            losses: Losses (T',), for methods that read them.
            present: Which tasks the rows are.
            loss_weights: What the loss balancer inside gave to the losses (T',), if it was called
                already.
            in_place: Whether the rows may be overwritten by scaled ones, which saves a copy.
            holders: The processes among which the columns are divided, if they are.

        Returns:
            The direction (P,), same dtype and device.

        Raises:
            InputError: If there is not one row, and one loss, per present task, or `forward` does
                not return a direction (P,), and set `weights` where it combines.
        """
        if present is None:
            present = torch.arange(len(self.tasks), device=jacobian.device)
        if jacobian.dim() != 2 or len(jacobian) != len(present):
            raise InputError(
                f"jacobian has shape {tuple(jacobian.shape)}, expected ({len(present)}, P): one "
                "flattened gradient per task"
            )
        if losses is not None and losses.shape != present.shape:
            raise InputError(wrong_losses(losses, len(present)))
        rows = jacobian.detach()
        read = [rows] if losses is None else [rows, losses.to(rows)]
        if loss_weights is not None:
            read.append(loss_weights.to(rows))
        self._holders = Processes() if holders is None else holders
        # a finite sum implies finite terms, and is computed faster; a device sync
        sums = self.over_columns(torch.stack([each.sum() for each in read]))
        if not (bool(sums.isfinite().all()) or self._all_finite(read)):
            self.status = NOT_FINITE
            if self.combines:
                self.weights = torch.full((len(rows),), torch.nan, dtype=torch.float64)
            return torch.full_like(rows[0], torch.nan)
        self.count_step()
        if self.losses is not None and loss_weights is None:
            loss_weights = self.loss_weights(losses, present)
        factor = self.task_weights[present.to(self.task_weights.device)].to(rows)
        if loss_weights is not None:
            factor = factor * loss_weights.to(rows)
            losses = None if losses is None else losses * loss_weights.to(losses)
        if self.unit:
            lengths = self.lengths(rows)
            factor = torch.where(lengths > 0, factor / lengths, factor)
        if bool((factor != 1).any()):
            rows = rows.mul_(factor[:, None]) if in_place else rows * factor[:, None]
        self.status, self.weights = OK, None
        self._open_columns(rows)
        direction = super().__call__(rows, losses, present)
        if not isinstance(direction, Tensor) or direction.shape != rows.shape[1:]:
            raise InputError(wrong_result(self, direction, f"a direction ({rows.shape[1]},)"))
        if self.combines and self.weights is None:
            raise InputError(
                f"forward of {type(self).__name__} left `weights` unset, though `combines` says "
                "that the direction is a weighted sum: set it, or combines = False"
            )
        if self.weights is not None:
            self.weights = self._in_scale(self.weights, len(rows)) * factor.cpu().double()
        return self._in_scale(direction, len(rows))

    def over_columns(self, sums: Tensor) -> Tensor:
        """Return sums over this process's columns as sums over all of them, a new tensor."""
        return self._holders.total(sums)

    def lengths(self, rows: Tensor) -> Tensor:
        """Return the length of each row (T',) over all columns."""
        own: Tensor = torch.linalg.vector_norm(rows, dim=1)
        if not self._holders.several:
            return own
        lengths: Tensor = self.over_columns(own.double().square()).sqrt().to(own)
        return lengths

    def _all_finite(self, read: Sequence[Tensor]) -> bool:
        wrong = torch.stack([each.isfinite().logical_not().sum() for each in read])
        return not bool(self.over_columns(wrong).any())

    def _in_scale(self, values: Tensor, count: int) -> Tensor:
        if self.scale != "paper" and count > 1:
            values = self.in_sum_scale(values, count)
        return values / count if self.scale == "mean" else values

    def move_columns(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
        """Continue with other shared parameters; columns of new ones start as zeros.

        Args:
            before: The parameters of the steps so far, in their order.
            after: Those of the steps to come.
        """
        for name in self.column_state:
            state = getattr(self, name)
            if state.shape[1]:
                known = zip(before, state.split([p.numel() for p in before], dim=1), strict=True)
                columns = {id(parameter): part for parameter, part in known}
                parts = [columns.get(id(p), state.new_zeros(len(state), p.numel())) for p in after]
                setattr(self, name, torch.cat(parts, dim=1))

    def _open_columns(self, rows: Tensor) -> None:
        self._check_part(rows)
        for name in self.column_state:
            known, width = getattr(self, name).shape[1], rows.shape[1]
            if known not in (0, width):
                raise InputError(
                    f"{type(self).__name__} remembers gradients on {known:,} shared parameters, "
                    f"found {width:,}: the shared or frozen parameters have changed. Create a new "
                    "balancer, share the same parameters in every step, or call move_columns first"
                )
            if known != width:
                opened = at_least_float32(rows.new_zeros(len(self.tasks), width))
                setattr(self, name, opened)

    def _check_part(self, rows: Tensor) -> None:
        """Refuse state of other columns; on all processes if on one, as the others would wait."""
        part, known = (self._holders.rank, self._holders.count), self._part
        if not self.column_state or part == known == (0, 1):
            return
        opened = any(getattr(self, name).shape[1] for name in self.column_state)
        if bool(self.over_columns(rows.new_tensor(float(opened and part != known)))):  # a sync
            raise InputError(
                f"{type(self).__name__} remembers gradients on other parts of the shared "
                f"parameters than the processes hold (here part {known[0] + 1} of {known[1]}, "
                f"found {part[0] + 1} of {part[1]}). With FSDP each process saves a state dict of "
                "its own and loads that one, with as many processes; or create a new balancer"
            )
        self._part = part

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._part != (0, 1):
            destination[prefix + _PART] = torch.tensor(self._part)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        part = state_dict.pop(prefix + _PART, None)
        self._part = (0, 1) if part is None else tuple(part.tolist())
        for name in self.column_state:
            own, saved = getattr(self, name), state_dict.get(prefix + name)
            if saved is not None and 0 in (own.shape[1], saved.shape[1]):  # else torch compares
                width = saved.shape[1]
                opened = own.new_zeros(len(self.tasks), width, dtype=saved.dtype)
                setattr(self, name, at_least_float32(opened))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def in_sum_scale(self, direction: Tensor, count: int) -> Tensor:
        """Turn a direction, or weights, from the paper's scale into the one where T g give T g."""
        return direction

    @abstractmethod
    def forward(self, jacobian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        """Find the direction (P,) from gradients (T', P).

        The next step writes its gradients to the same memory: copy what you keep.
        """


def rows_of(state: Tensor, present: Tensor) -> Tensor:
    """Return the rows of the present tasks (T', P), copied only if some are absent or moved."""
    everyone = torch.arange(len(state), device=present.device)
    return state if torch.equal(present, everyone) else state[present]
