"""The passes of a step: how the parts of its plan are computed."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from motet.balancing import Balancer
from motet.balancing.engine.hooks import hooks_once
from motet.model import MultiTaskModel, mean_losses
from motet.processes import ALONE, Processes
from motet.sharing.tied import tied_in
from motet.training.looks import Look
from motet.training.loss_scale import LossScale
from motet.training.normalizing import Normalizer
from motet.training.passes.averages import Averages
from motet.training.passes.beside import Beside
from motet.training.passes.compiled import Compiled
from motet.training.passes.forward import Forward
from motet.training.passes.gradients import add_penalty
from motet.training.passes.joining import Joining
from motet.training.passes.micro_batches import MicroBatches
from motet.training.passes.owners import Owners
from motet.training.passes.passed import Passed, added
from motet.training.passes.whole import WholeBatch
from motet.training.plan import Plan
from motet.training.randomness import Generators
from motet.training.statistics import OwnGradients


class Passes:
    """Makes the passes of steps.

    Args:
        model: The model.
        normalizer: Makes losses comparable before they are balanced.
        device: Device of the batches.
        precision: Arithmetic of the forward pass.
        generators: The random generators.
        scale: The factor on the losses in backward passes.
        compiled: The parts of the model that are compiled.
        soft_share: Returns how much losses against what teachers predict count now.
        processes: The processes that make each step together.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        normalizer: Normalizer,
        *,
        device: torch.device,
        precision: str,
        generators: Generators,
        scale: LossScale,
        compiled: Compiled,
        soft_share: Callable[[], float],
        processes: Processes = ALONE,
    ) -> None:
        self._model, self._normalizer, self._generators = model, normalizer, generators
        self.joining = Joining(processes, model)
        """What processes exchange in a step."""
        self._forward = Forward(model, device, precision, generators, self.joining, soft_share)
        changing: list[nn.Module] = [model, normalizer] if normalizer.active else [model]
        self.averages = Averages(*changing)
        self._compiled = compiled
        owners = Owners(model, processes)
        tied, self._scale = tied_in(model.sharing), scale
        self._own: OwnGradients | None = None
        if tied is not None and tied.found["by"] == "gradients":
            self._own, self._forward.withholds = OwnGradients(tied), True
        self._whole = WholeBatch(self._forward, normalizer, owners, self.averages, scale)
        self._micro_batches = MicroBatches(self._forward, normalizer, owners, self.averages, scale)
        self._beside = Beside(self._forward, self.averages, scale)

    def make(
        self, plan: Plan, balancer: Balancer, options: Mapping[str, Any], *, look: Look | None
    ) -> Passed | None:
        """Make the forward and backward passes of a step.

        Args:
            plan: The step.
            balancer: The balancer.
            options: Further arguments of `motet.backward`.
            look: What is measured of the task gradients beside training.

        Returns:
            What the passes gave; None if there was nothing to train.
        """
        if self._forward.several:
            self._forward.begin()
        self._generators.seed("step", plan.step)
        with self._compiled.in_use() if self._compiled.calls else nullcontext():
            if plan.micro_batches == 1 and not plan.beside and self._own is None:
                return self._whole.run(plan, balancer, options, look)
            way = self._whole if plan.micro_batches == 1 else self._micro_batches
            with hooks_once(self._model.parameters()):
                passed = way.run(plan, balancer, options, look)
                balanced = passed is not None
                passed = self._beside.run(plan, passed) if plan.beside else passed
                if self._own is None or passed is None:
                    return passed
                own = self._own.measured(list(passed.losses), self._scale.factor)
                if balanced:
                    add_penalty(self._forward.withheld, self._scale.factor)
                return replace(passed, own=own)

    def losses(self, plan: Plan) -> dict[str, Tensor]:
        """Compute the losses that a step balances: with its dropout, and without side effects."""
        with self._generators.own(), self.averages.unchanged():
            self._generators.seed("step", plan.step)
            found = [
                self._forward.terms(parts, plan.step, piece).terms
                for piece, parts in enumerate(plan.pieces())
            ]
        return self._normalizer.normalized(mean_losses(added(found)))

    def tried_losses(self, plan: Plan) -> dict[str, Tensor]:
        """Compute the same for gradients that no loss scale protects."""
        with self._forward.differentiable():
            return self.losses(plan)

    def trying(self) -> AbstractContextManager[object]:
        """Return the context in which `tried_losses` are computed and differentiated."""
        return self._forward.redrawing(always=True)
