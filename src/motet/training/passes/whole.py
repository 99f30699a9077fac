"""The balanced parts of a step at once, the fast path: one forward pass each, one engine call."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from motet.balancing import Balancer, backward
from motet.balancing.engine.hooks import hooks_once
from motet.model import mean_losses
from motet.training.looks import Look
from motet.training.loss_scale import LossScale
from motet.training.normalizing import Normalizer
from motet.training.passes.averages import Averages
from motet.training.passes.forward import Forward, noting_heads
from motet.training.passes.gradients import add_penalty
from motet.training.passes.owners import Owners
from motet.training.passes.passed import Passed
from motet.training.plan import Plan, tasks_of
from motet.training.statistics import Measured, TaskGradients


class WholeBatch:
    """Makes the passes of the balanced parts at once.

    Args:
        forward: Computes losses.
        normalizer: Makes losses comparable before they are balanced.
        owners: Finds the shared parameters.
        averages: Running averages, which measuring gradients does not change.
        scale: The factor on the losses in backward passes.
    """

    def __init__(
        self,
        forward: Forward,
        normalizer: Normalizer,
        owners: Owners,
        averages: Averages,
        scale: LossScale,
    ) -> None:
        self._forward, self._normalizer, self._owners = forward, normalizer, owners
        self._averages, self._scale = averages, scale

    def run(
        self, plan: Plan, balancer: Balancer, options: Mapping[str, Any], look: Look | None
    ) -> Passed | None:
        """Compute the balanced parts and their backward pass; see `Passes.make`."""
        forward, normalizer = self._forward, self._normalizer
        given: list[Tensor] = []
        looking = forward.several and options.get("at") == "representation"
        with noting_heads(forward.model, given) if looking else nullcontext():
            found = forward.terms(plan.balanced, plan.step)
        # a task whose head and encoder are frozen has nothing to train
        plain = {
            task: loss
            for task, loss in mean_losses(found.terms).items()
            if loss.requires_grad or task in found.elsewhere
        }
        if not plain:
            return None
        normalizer.observe(plain)
        losses = normalizer.normalized(plain)
        measured: Measured | None = None
        if look is not None:
            gradients = TaskGradients(forward.model, self._scale.factor, forward.processes, look)
            with forward.redrawing(), self._averages.unchanged():
                measured = gradients.plus(losses).measured()
        penalty, trained = forward.penalty()
        if balancer.needs.reads != "losses" or forward.several:
            known = {**found.raw, **losses}
            tasks = tasks_of(plan.balanced) if forward.several else list(known)
            options = {**self._owners.lists(balancer, known, tasks), **options}
        if given:
            options = {"representation": given, **options}
        options = {"scaler": self._scale.scaler, **forward.group, **options}
        if forward.several:
            with hooks_once(forward.model.parameters()):
                with forward.redrawing():
                    result = backward(losses, balancer, **options)
                add_penalty(trained, self._scale.factor)
        else:
            result = backward(losses, balancer, penalty=trained, **options)
        reported = result.losses
        if normalizer.active:
            reported = {task: loss.detach() for task, loss in plain.items()}
        detached = None if penalty is None else penalty.detach()
        return Passed(found.terms, reported, result, detached, measured)
