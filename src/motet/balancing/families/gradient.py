"""What balancers that read gradients have in common: a scale, a loss balancer inside, unit rows.

With a loss balancer inside, and with unit rows, a method balances::

    a_k = ∂ total / ∂L_k,    rows a_k g_k, or with unit rows a_k g_k / ‖g_k‖,    losses a_k L_k

in place of g_k and L_k. Its weights, times a_k and 1 / ‖g_k‖, are those of the task losses.
Parameters of a task alone get the gradient of a_k L_k, as they do from a loss balancer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from motet.balancing.families.balancer import Balancer
from motet.balancing.families.loss import LossBalancer
from motet.balancing.families.protocols import KnownTask
from motet.balancing.families.uncompiled import keep_buffers
from motet.options import create, name_and_options
from motet.problems import InputError
from motet.registry import BALANCERS


class GradientBalancer(Balancer):
    """Balances gradients, perhaps those of losses that a loss balancer weighted before.

    Args:
        tasks: Names of the tasks.
        options: All options of `GradientOptions`.

    Raises:
        InputError: If the loss balancer, or unit rows, would have no effect or are not supported.
    """

    refuses_unit: ClassVar[str] = ""
    """Why unit rows would have no effect, or no meaning; empty if they have one."""

    def __init__(self, tasks: Sequence[str], options: Mapping[str, Any]) -> None:
        super().__init__(tasks)
        keep_buffers()
        self.scale: Literal["sum", "mean", "paper"] = options["scale"]
        self.unit: bool = options["unit"]
        self.losses: LossBalancer | None = None
        if self.unit:
            self._check_unit(self.refuses_unit)
        if options["losses"] is not None:
            self._compose(options["losses"])

    @classmethod
    def filled_in(cls, options: Mapping[str, Any], tasks: Iterable[KnownTask]) -> Mapping[str, Any]:
        """Add what the loss balancer inside reads of the tasks, where it is chosen by name."""
        given = options.get("losses")
        if given is None or isinstance(given, Balancer):
            return options
        name, own = name_and_options(given, option="losses")
        member = BALANCERS[name]
        if isinstance(member, type) and issubclass(member, Balancer):  # else a function
            own = dict(member.filled_in(own, tasks))
        return {**options, "losses": {"type": name, **own}}

    def loss_weights(self, losses: Tensor | None, present: Tensor) -> Tensor:
        """Return the weights (T',) that the loss balancer inside gives to losses (T',)."""
        assert self.losses is not None
        if losses is None:
            raise InputError(
                f"{type(self).__name__} has a loss balancer inside, which reads the losses; pass "
                "them too"
            )
        read = losses.detach().clone().requires_grad_()
        if not read.isfinite().all():  # as of a step that is skipped
            return torch.full_like(losses, torch.nan)
        with torch.enable_grad():
            total = self.losses(read, present.to(read.device))
        (weights,) = torch.autograd.grad(total, read)
        return weights

    def _check_unit(self, reason: str) -> None:
        if reason:
            raise InputError(f"{type(self).__name__} does not support unit: {reason}")

    def _compose(self, given: object) -> None:
        """Put a loss balancer inside, and pass on to it the calls of the training loop.

        Raises:
            InputError: If it does not go with this balancer.
        """
        outer = type(self).__name__
        if not isinstance(given, Balancer):
            name, own = name_and_options(given, option="losses")
            given = create(BALANCERS, name, self.tasks, **own)
        inner = type(given).__name__
        if not isinstance(given, LossBalancer):
            raise InputError(
                f"found {inner}, which reads no losses alone; expected a loss balancer, such as "
                "dwa or uncertainty",
                option="losses",
            )
        if given.tasks != self.tasks:
            raise InputError(
                f"found {inner} of {', '.join(given.tasks)}; expected one of the same tasks in the "
                f"same order: {', '.join(self.tasks)}",
                option="losses",
            )
        reason = _why_not_inside(given)
        if self.scales_losses:
            reason = f"{outer} scales the losses itself"
        if reason:
            raise InputError(f"{outer} does not support {inner} inside: {reason}", option="losses")
        for call in _FROM_THE_LOOP:
            if hasattr(given, call):
                if hasattr(self, call):
                    raise InputError(
                        f"found {inner}, which has `{call}`, as {outer} does; expected one of them "
                        "alone to have it",
                        option="losses",
                    )
                setattr(self, call, getattr(given, call))
        self.losses = given


_FROM_THE_LOOP = ("end_epoch", "observe_scores", "after_step", "exact")
"""What a loss balancer inside may read of the training loop: its methods and their options."""


def _why_not_inside(inner: LossBalancer) -> str:
    """Return why a loss balancer cannot weight losses before another balancer; empty if it can."""
    if inner.needs.norms is not None:
        return "it reads norms of gradients, which take backward passes of its own"
    if inner.needs.looks_ahead:
        return "it learns from the step down its weighted sum, which is not the step that is made"
    return ""
