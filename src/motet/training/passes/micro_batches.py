"""The balanced parts of a step in micro-batches, one at a time, to save memory.

The result is that of the whole batch. For balancers that read gradients, those of all micro-batches
are added up. For balancers that read losses, the losses of all micro-batches are computed before
the first backward pass, which costs one more forward pass, unless the weights are fixed. BatchNorm
sees micro-batches, and dropout draws anew for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from motet.balancing import BackwardResult, Balancer, backward
from motet.host import on_host
from motet.model import MultiTaskModel
from motet.processes import Processes
from motet.training.looks import Look
from motet.training.loss_scale import LossScale
from motet.training.normalizing import Normalizer
from motet.training.passes.averages import Averages
from motet.training.passes.forward import Forward
from motet.training.passes.gradients import add_penalty, joined_gradients
from motet.training.passes.owners import Owners
from motet.training.passes.passed import Passed, Raw, Terms, added
from motet.training.plan import Part, Plan, tasks_of
from motet.training.statistics import TaskGradients


class MicroBatches:
    """Makes the passes of the balanced parts, one micro-batch at a time.

    Args:
        forward: Computes losses.
        normalizer: Makes losses comparable before they are balanced.
        owners: Finds the shared parameters.
        averages: Running averages, saved before each step.
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
        self._forward, self._normalizer = forward, normalizer
        self._owners, self._averages, self._scale = owners, averages, scale

    def run(
        self, plan: Plan, balancer: Balancer, options: Mapping[str, Any], look: Look | None
    ) -> Passed | None:
        """Compute the balanced parts and their backward passes; see `Passes.make`."""
        forward, needs = self._forward, balancer.needs
        gradients = None
        if look is not None:
            gradients = TaskGradients(forward.model, self._scale.factor, forward.processes, look)
        work = _Work(plan, forward, self._normalizer, self._averages, self._scale, gradients)
        first: dict[str, Tensor] = {}
        if self._normalizer.active or not (needs.gradients or needs.fixed_weights):
            first = work.whole_losses()
            self._averages.restore()
            self._normalizer.observe(first)
            forward.generators.seed("step", plan.step)
        penalty, trained = forward.penalty()
        if needs.gradients:
            result = work.by_rows(balancer, trained, options, self._owners)
        elif needs.fixed_weights:
            result = work.fixed(balancer, trained)
        else:
            result = work.weighted(balancer, trained, first)
        if result is None:
            return None
        losses = {task: work.terms[task][0] / work.terms[task][1] for task in result.tasks}
        measured = None if gradients is None else gradients.measured()
        detached = None if penalty is None else penalty.detach()
        return Passed(work.terms, losses, result, detached, measured)


class _Work:
    """The micro-batches of one step; losses are divided by the counts of the whole batch."""

    def __init__(
        self,
        plan: Plan,
        forward: Forward,
        normalizer: Normalizer,
        averages: Averages,
        scale: LossScale,
        gradients: TaskGradients | None,
    ) -> None:
        self._step, self._pieces = plan.step, plan.pieces()
        self._forward, self._normalizer, self._scale = forward, normalizer, scale
        self._averages, self._gradients = averages, gradients
        self._model, self._processes = forward.model, forward.processes
        self._parameters = list(self._model.parameters())
        self._tasks = tasks_of(plan.balanced)
        self.terms: Terms = {}
        """Sums and counts of the micro-batches so far."""
        self._raw: Raw = {}  # of the micro-batch in progress
        self._counts = _counts(self._pieces, self._model, self._processes)

    def whole_losses(self) -> dict[str, Tensor]:
        """Compute the losses of the whole batch, of tasks that are trained."""
        found: dict[str, Tensor] = {}
        for losses, _ in self._losses():
            _add(found, losses)
        return found

    def by_rows(
        self,
        balancer: Balancer,
        penalty: Tensor | None,
        options: Mapping[str, Any],
        owners: Owners,
    ) -> BackwardResult | None:
        """Add up the gradients of each task, and combine them at the last micro-batch."""
        result: BackwardResult | None = None
        for shares, last in self._losses():
            losses = self._normalizer.normalized(shares)
            if result is None:
                known = {**self._raw, **losses}
                options = {**owners.lists(balancer, known, self._tasks), **options}
            with self._forward.redrawing():
                self._measure(losses)
                result = backward(
                    losses,
                    balancer,
                    penalty=penalty if last and not self._processes.several else None,
                    scaler=self._scale.scaler,
                    solve=last,
                    previous=result,
                    **self._forward.group,
                    **options,
                )
        if result is not None and self._processes.several:
            add_penalty(penalty, self._scale.factor)
        return result

    def weighted(
        self,
        balancer: Balancer,
        penalty: Tensor | None,
        losses: Mapping[str, Tensor],
    ) -> BackwardResult | None:
        """Weight each micro-batch as the balancer weights the whole batch, ``losses``."""
        result = self._balanced(balancer, penalty, losses)
        if result is not None:
            assert result.weights is not None
            self._backward(result.weights)
        return result

    def fixed(self, balancer: Balancer, penalty: Tensor | None) -> BackwardResult | None:
        """Weight each micro-batch by the tasks' weights, which depend on nothing else."""
        weights = {task: torch.tensor(balancer.weight(task)) for task in balancer.tasks}
        return self._balanced(balancer, penalty, self._backward(weights))

    def _balanced(
        self, balancer: Balancer, penalty: Tensor | None, losses: Mapping[str, Tensor]
    ) -> BackwardResult | None:
        if not losses:
            return None
        values = self._normalizer.normalized(
            {task: losses[task] for task in self._model.tasks.names if task in losses}
        )
        leaves = {task: value.detach().requires_grad_() for task, value in values.items()}
        return backward(leaves, balancer, penalty=penalty, scaler=self._scale.scaler)

    def _backward(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make the backward pass of every micro-batch; return the losses of the whole batch."""
        found: dict[str, Tensor] = {}
        factor = self._scale.factor
        with joined_gradients(self._parameters, self._processes):
            for losses, _ in self._losses():
                balanced = self._normalizer.normalized(losses)
                total = [loss * weights[task].to(loss) * factor for task, loss in balanced.items()]
                with self._forward.redrawing():
                    self._measure(balanced)
                    if any(loss.requires_grad for loss in total):
                        torch.stack(total).sum().backward()  # type: ignore[no-untyped-call]  # torch's
                _add(found, losses)
        return found

    def _measure(self, losses: Mapping[str, Tensor]) -> None:
        """Add the task gradients of a micro-batch to what is measured."""
        if self._gradients is not None:
            with self._averages.unchanged():
                self._gradients.plus(losses)

    def _losses(self) -> Iterator[tuple[dict[str, Tensor], bool]]:
        """Yield each micro-batch's share of the losses, and whether it is the last with any."""
        self.terms = {}
        whole: dict[str, float] = {}
        for counts in self._counts:
            for task, count in counts.items():
                whole[task] = whole.get(task, 0.0) + count
        trained: list[str] = []
        for number, (parts, counts) in enumerate(zip(self._pieces, self._counts, strict=True)):
            computed = self._forward.terms(parts, self._step, number)
            self._raw, terms = computed.raw, computed.terms
            if number == 0:  # the only micro-batch that has a piece of every part
                some = self._processes.any([self._trains(task) for task in whole])
                trained = [task for task, here in zip(whole, some, strict=True) if here]
            bare = {task: (total.detach(), count) for task, (total, count) in terms.items()}
            self.terms = added([self.terms, bare])
            shares = {task: terms[task][0] / whole[task] for task in trained if counts.get(task)}
            if shares:
                rest = self._counts[number + 1 :]
                yield shares, not any(each.get(task) for each in rest for task in trained)

    def _trains(self, task: str) -> bool:
        own = self._model.tasks[task].parameters()
        raw = self._raw.get(task)  # None if this process has no row
        return raw is not None and (raw.requires_grad or any(p.requires_grad for p in own))


def _counts(
    pieces: Sequence[Sequence[Part]], model: MultiTaskModel, processes: Processes
) -> list[dict[str, float]]:
    """Count the labels of each task of each micro-batch, without a forward pass."""
    found = [
        [
            (task, count)
            for part in parts
            for task in part.tasks
            if (count := part.count(model.tasks[task])) is not None
        ]
        for parts in pieces
    ]
    known = on_host([count for counts in found for _, count in counts])
    if any(part.batch.share is not None for parts in pieces for part in parts):
        counts_here = torch.tensor(known, dtype=torch.float64, device=processes.device)
        known = processes.total(counts_here).tolist()
    numbers = iter(known)
    totals: list[dict[str, float]] = [{} for _ in found]
    for total, counts in zip(totals, found, strict=True):
        for task, _ in counts:  # of several sources a task is in several parts
            total[task] = total.get(task, 0.0) + next(numbers)
    return totals


def _add(found: dict[str, Tensor], losses: Mapping[str, Tensor]) -> None:
    for task, loss in losses.items():
        found[task] = loss.detach() + found.get(task, 0.0)
