"""The forward and backward pass of a step: over its batch as a whole, or part by part.

Parts save memory: only one is in work at a time, and what comes out is what the whole batch would
give. Balancers that read gradients get those of all parts, added up. Balancers that read losses get
those of all parts before any of them goes back, which costs one more forward pass, unless their
weights are fixed. BatchNorm sees parts, and dropout draws anew for each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from motet.balancing import BackwardResult, Balancer, Needs, backward
from motet.balancing.engine.hooks import hooks_once
from motet.data.batches import Batch
from motet.model import MultiTaskModel, mean_losses, on_host
from motet.problems import InputError
from motet.tasks.labels import at_least_float32
from motet.training.averages import Averages
from motet.training.normalizing import Normalizer
from motet.training.owners import Owners
from motet.training.precision import autocast
from motet.training.randomness import Generators
from motet.training.stages import Stages
from motet.training.statistics import TaskGradients

Terms = dict[str, tuple[Tensor, Tensor]]
"""Sum and count of each task's loss."""
Raw = dict[str, Tensor]


@dataclass(frozen=True)
class Passed:
    """What the passes of a step gave; gradients are in ``.grad``."""

    terms: Terms
    losses: dict[str, Tensor]
    """Mean loss of each task that is trained, without normalising."""
    balanced: BackwardResult
    penalty: Tensor | None
    norms: Mapping[str, float] = field(default_factory=dict)
    """Norms of the tasks' gradients, if they were looked at."""


class Passes:
    """Makes the passes of steps, with the random numbers of each step.

    Args:
        model: The model.
        normalizer: What makes losses comparable before they are balanced.
        device: Where the batches are.
        precision: Arithmetic of the forward pass.
        generators: The random generators, to be left as they are.
        parts: How many parts of a batch are worked on in turn.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        normalizer: Normalizer,
        *,
        device: torch.device,
        precision: str,
        generators: Generators,
        parts: int = 1,
    ) -> None:
        self.model, self.normalizer, self.generators = model, normalizer, generators
        self.device, self.precision, self.parts = device, precision, parts
        self._owners = Owners(model)
        self.averages = Averages(nn.ModuleList([model, normalizer]))

    def make(
        self,
        batch: Batch,
        tasks: Sequence[str],
        step: int,
        balancer: Balancer,
        options: Mapping[str, Any],
        look: bool,
    ) -> Passed | None:
        """Go forward and back.

        Args:
            batch: Inputs and targets.
            tasks: The tasks to compute.
            step: Steps made before this one.
            balancer: The balancer.
            options: What `motet.backward` is called with.
            look: Whether to look at the tasks' gradients, if the balancer does not need them.

        Returns:
            What the passes gave; None if there was nothing to train.
        """
        look = look and balancer.needs.reads == "losses"
        self.generators.seed("step", step)
        if self.parts > 1:
            with hooks_once(self.model.parameters()):
                return self._in_parts(batch, tasks, step, balancer, options, look)
        raw = self._raw(batch, tasks)
        terms = self.model.loss_terms(raw, batch.targets)
        # a task whose head and encoder are frozen has nothing to train
        losses = {t: loss for t, loss in mean_losses(terms).items() if loss.requires_grad}
        if not losses:
            return None
        self.normalizer.observe(plain := losses)
        losses = self.normalizer.normalized(plain)
        norms = TaskGradients(self.model).plus(losses).norms() if look else {}
        penalty = self._penalty()
        trained = penalty if penalty is not None and penalty.requires_grad else None
        if balancer.needs.reads != "losses":
            options = {**self._owners.lists(balancer, {**raw, **losses}), **options}
        result = backward(losses, balancer, penalty=trained, **options)
        found = result.losses
        if self.normalizer.active:
            found = {task: loss.detach() for task, loss in plain.items()}
        return Passed(terms, found, result, _detached(penalty), norms)

    def aside(self, step: int, tasks: Sequence[str]) -> Callable[[Batch], dict[str, Tensor]]:
        """Return how losses are computed beside a step: its dropout, BatchNorm's averages stay."""

        def losses(batch: Batch) -> dict[str, Tensor]:
            with self.generators.own():
                self.generators.seed("step", step)
                self.averages.save()
                parts = self._parts(batch) if self.parts > 1 else [batch]
                terms = _added([self._terms(part, tasks) for part in parts])
                self.averages.restore()
                return self.normalizer.normalized(mean_losses(terms))

        return losses

    def _terms(self, batch: Batch, tasks: Sequence[str]) -> Terms:
        """Compute sums and counts of the losses."""
        return self.model.loss_terms(self._raw(batch, tasks), batch.targets)

    def _raw(self, batch: Batch, tasks: Sequence[str]) -> Raw:
        with autocast(self.device, self.precision):
            raw = self.model(batch.inputs, tasks)
        return {task: at_least_float32(output) for task, output in raw.items()}

    def _penalty(self) -> Tensor | None:
        return self.model.sharing.penalty(self.model.active_tasks)

    # Part by part ------------------------------------------------------------------------------

    def _in_parts(
        self,
        batch: Batch,
        tasks: Sequence[str],
        step: int,
        balancer: Balancer,
        options: Mapping[str, Any],
        look: bool,
    ) -> Passed | None:
        forward = partial(self._raw, tasks=tasks)
        work = _Parts(self._parts(batch), tasks, forward, self.normalizer, self.model)
        needs = balancer.needs
        fixed = needs.fixed_weights
        together = not needs.gradients
        first: dict[str, Tensor] = {}
        if self.normalizer.active or (together and not fixed):
            first = work.look()  # at the losses of the whole batch
            self.averages.restore()
            self.normalizer.observe(first)
            self.generators.seed("step", step)
        gradients = TaskGradients(self.model) if look else None
        penalty = self._penalty()
        trained = penalty if penalty is not None and penalty.requires_grad else None
        if not together:
            result = work.by_rows(balancer, trained, options, gradients, self._owners)
        elif fixed:
            result = work.fixed(balancer, trained, gradients)
        else:
            result = work.weighted(balancer, trained, gradients, first)
        if result is None:
            return None
        losses = {task: work.terms[task][0] / work.terms[task][1] for task in result.tasks}
        norms = gradients.norms() if gradients is not None else {}
        return Passed(work.terms, losses, result, _detached(penalty), norms)

    def first_part(self, batch: Batch) -> Batch:
        """Return what is worked on first."""
        return self._parts(batch)[0] if self.parts > 1 else batch

    def _parts(self, batch: Batch) -> list[Batch]:
        """Cut a batch into parts of equal size, the last perhaps smaller."""
        size = -(-len(batch) // self.parts)
        return [batch.cut(start, start + size) for start in range(0, len(batch), size)]


class _Parts:
    """The parts of one batch, worked on in turn; losses are divided by the whole batch's counts."""

    def __init__(
        self,
        parts: Sequence[Batch],
        tasks: Sequence[str],
        forward: Callable[[Batch], Raw],
        normalizer: Normalizer,
        model: MultiTaskModel,
    ) -> None:
        self.parts, self.forward = parts, forward
        self.normalizer, self.model = normalizer, model
        self.terms: Terms = {}
        """Sums and counts of the parts so far."""
        self.raw: Raw = {}
        """Outputs of the part in work."""
        self._counts = _all_counts(parts, tasks, model)

    def look(self) -> dict[str, Tensor]:
        """Compute the losses of the whole batch, of tasks that are trained."""
        found: dict[str, Tensor] = {}
        for losses, _ in self._losses():
            for task, loss in losses.items():
                found[task] = loss.detach() + found.get(task, 0.0)
        return found

    def by_rows(
        self,
        balancer: Balancer,
        penalty: Tensor | None,
        options: Mapping[str, Any],
        gradients: TaskGradients | None,
        owners: Owners,
    ) -> BackwardResult | None:
        """Add up the gradients of each task, and combine them at the last part."""
        result: BackwardResult | None = None
        for losses, last in self._normalized():
            if result is None:
                options = {**owners.lists(balancer, {**self.raw, **losses}), **options}
            if gradients is not None:
                gradients.plus(losses)
            result = backward(
                losses,
                balancer,
                penalty=penalty if last else None,
                solve=last,
                previous=result,
                **options,
            )
        return result

    def weighted(
        self,
        balancer: Balancer,
        penalty: Tensor | None,
        gradients: TaskGradients | None,
        losses: Mapping[str, Tensor],
    ) -> BackwardResult | None:
        """Weigh the parts' losses as the balancer weighs those of the whole batch, ``losses``."""
        result = self._balanced(balancer, penalty, losses)
        if result is not None:
            assert result.weights is not None
            self._go_back(result.weights, gradients)
        return result

    def fixed(
        self, balancer: Balancer, penalty: Tensor | None, gradients: TaskGradients | None
    ) -> BackwardResult | None:
        """Weigh the parts' losses by the tasks' weights, which depend on nothing."""
        weights = {task: torch.tensor(balancer.weight(task)) for task in balancer.tasks}
        seen = self._go_back(weights, gradients)
        return self._balanced(balancer, penalty, seen)

    def _balanced(
        self, balancer: Balancer, penalty: Tensor | None, losses: Mapping[str, Tensor]
    ) -> BackwardResult | None:
        if not losses:
            return None
        values = self.normalizer.normalized(
            {t: losses[t] for t in self.model.tasks.names if t in losses}
        )
        leaves = {task: value.detach().requires_grad_() for task, value in values.items()}
        return backward(leaves, balancer, penalty=penalty)

    def _go_back(
        self, weights: Mapping[str, Tensor], gradients: TaskGradients | None
    ) -> dict[str, Tensor]:
        """Go back from the weighted losses of every part; return those of the whole batch."""
        found: dict[str, Tensor] = {}
        for losses, _ in self._losses():
            balanced = self.normalizer.normalized(losses)
            if gradients is not None:
                gradients.plus(balanced)
            total = [loss * weights[task].to(loss) for task, loss in balanced.items()]
            torch.stack(total).sum().backward()  # type: ignore[no-untyped-call]  # torch's
            for task, loss in losses.items():
                found[task] = loss.detach() + found.get(task, 0.0)
        return found

    def _normalized(self) -> Iterator[tuple[dict[str, Tensor], bool]]:
        for losses, last in self._losses():
            yield self.normalizer.normalized(losses), last

    def _losses(self) -> Iterator[tuple[dict[str, Tensor], bool]]:
        """Yield the share that each part has in the losses, and whether it is the last with any."""
        self.terms = {}
        whole = {task: sum(count[task] for count in self._counts) for task in self._counts[0]}
        can: list[str] = []
        for place, (part, count) in enumerate(zip(self.parts, self._counts, strict=True)):
            raw = self.raw = self.forward(part)
            can = can or [task for task in whole if self._trains(task, raw[task])]
            terms = self.model.loss_terms(raw, part.targets)
            bare = {task: (total.detach(), n) for task, (total, n) in terms.items()}
            self.terms = _added([self.terms, bare])
            shares = {task: terms[task][0] / whole[task] for task in can if count[task]}
            if shares:
                rest = self._counts[place + 1 :]
                yield shares, not any(each[task] for each in rest for task in can)

    def _trains(self, task: str, raw: Tensor) -> bool:
        own = self.model.tasks[task].parameters()
        return raw.requires_grad or any(parameter.requires_grad for parameter in own)


def _all_counts(
    parts: Sequence[Batch], tasks: Sequence[str], model: MultiTaskModel
) -> list[dict[str, float]]:
    """Count the labels of each task in each part, without a forward pass."""
    tasks = [t for t in tasks if parts[0].targets.get(t) is not None]
    found = [
        model.tasks[task].count(target)
        for part in parts
        for task in tasks
        if (target := part.targets[task]) is not None
    ]
    numbers = iter(on_host(found))
    return [{task: next(numbers) for task in tasks} for _ in parts]


def _added(parts: Sequence[Terms]) -> Terms:
    """Add up sums and counts."""
    found: Terms = {}
    for part in parts:
        for task, (total, count) in part.items():
            before = found.get(task)
            found[task] = (
                (total, count) if before is None else (before[0] + total, before[1] + count)
            )
    return found


def _detached(penalty: Tensor | None) -> Tensor | None:
    """Return a penalty without its graph."""
    return None if penalty is None else penalty.detach()


def check_parts(stages: Stages, model: MultiTaskModel) -> None:
    """Refuse to work part by part where that would not be the step of the whole batch.

    Raises:
        InputError: If a balancer or a loss needs the whole batch at once.
    """
    for task in model.tasks:
        if not task.additive:
            raise InputError(
                f"the loss of task {task.name!r} compares the rows of a batch, so parts of it do "
                "not add up; leave accumulate out, and give a batch_size that fits into memory"
            )
    for balancer, options in zip(stages, stages.passes, strict=True):
        reason = _why_whole(balancer.needs, options)
        if reason is not None:
            raise InputError(
                f"{type(balancer).__name__} {reason}, so it cannot have accumulate; leave that "
                "out, and give a batch_size that fits into memory"
            )


def check_precision(stages: Stages, precision: str) -> None:
    """Refuse an option of the backward pass that could do nothing in this arithmetic.

    Raises:
        InputError: If linear layers are to be read as products, where their weights are cast.
    """
    if precision == "float32":
        return
    for balancer, options in zip(stages, stages.passes, strict=True):
        if options.get("gramian") == "layers":
            raise InputError(
                f"{type(balancer).__name__} has gramian: layers, which reads products of float32 "
                f"weights, but precision is {precision}, where they are cast; remove one of both"
            )


def _why_whole(needs: Needs, options: Mapping[str, Any]) -> str | None:
    if needs.penalizes_norms:
        return "penalises norms of gradients of the whole batch, which do not add up"
    if needs.norms == "last":
        return "reads norms at the last shared layer (it could with layer: all)"
    if needs.looks_ahead:
        return "tries steps on whole batches"
    if options.get("at") == "representation":
        return "compares gradients at the representation of the whole batch"
    if options.get("gramian") == "layers":
        return "makes no gradients that could be added up (gramian: layers)"
    if options.get("memory") == "low":
        return "computes its Gramian piece by piece (memory: low)"
    return None
