"""Parts outside the balancer: a separate backward pass, which adds to ``.grad``.

They come after balancing, so the balancer neither sees them nor leaves its fast path for them. They
do not change the averages of BatchNorm.
"""

from dataclasses import replace

import torch
from torch import Tensor

from motet.model import on_host
from motet.training.passes.averages import Averages
from motet.training.passes.forward import Forward
from motet.training.passes.passed import Passed, Terms, added
from motet.training.plan import Part, Plan


class Beside:
    """Makes the passes of parts beside the balancer.

    Args:
        forward: Computes losses.
        averages: Running averages, which stay as they are.
    """

    def __init__(self, forward: Forward, averages: Averages) -> None:
        self._forward, self._averages = forward, averages

    def run(self, plan: Plan, passed: Passed | None) -> Passed | None:
        """Compute the parts beside and their backward passes.

        Args:
            plan: The step.
            passed: What the balanced parts gave.

        Returns:
            What all parts gave; None if there was nothing to train.
        """
        terms: Terms = {}
        with self._averages.unchanged():
            for part in plan.beside:
                terms |= self._part(part, plan)
        if not terms:
            return passed
        losses = {task: total / count for task, (total, count) in terms.items()}
        if passed is None:
            return Passed(terms, losses, None)
        return replace(passed, terms={**passed.terms, **terms}, losses={**passed.losses, **losses})

    def _part(self, part: Part, plan: Plan) -> Terms:
        """Make the passes of each micro-batch, with its share of the losses of all rows."""
        found: list[Terms] = []
        pieces = [part] if plan.micro_batches == 1 else part.cut(plan.micro_batches)
        whole = self._counts(part) if len(pieces) > 1 else {}
        for number, piece in enumerate(pieces):
            _, terms = self._forward.terms([piece], plan.step, number)
            if not whole:
                whole = _on_host({task: count for task, (_, count) in terms.items()})
            trained = {t: each for t, each in terms.items() if whole[t] and each[0].requires_grad}
            shares = [total / whole[task] for task, (total, _) in trained.items()]
            if shares:
                (part.weight * torch.stack(shares).sum()).backward()  # type: ignore[no-untyped-call]  # torch's
            found.append({task: (total.detach(), n) for task, (total, n) in trained.items()})
        return added(found)

    def _counts(self, part: Part) -> dict[str, float]:
        """Count the elements of each target, without a forward pass."""
        targets = {t: each for t in part.tasks if (each := part.batch.targets.get(t)) is not None}
        tasks = self._forward.model.tasks
        return _on_host({task: tasks[task].count(target) for task, target in targets.items()})


def _on_host(counts: dict[str, Tensor]) -> dict[str, float]:
    return dict(zip(counts, on_host(list(counts.values())), strict=True))
