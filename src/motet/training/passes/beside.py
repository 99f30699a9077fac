"""Parts outside the balancer: a separate backward pass, which adds to ``.grad``.

They come after balancing, so the balancer neither sees them nor leaves its fast path for them. They
do not change the averages of BatchNorm.
"""

from collections.abc import Sequence
from dataclasses import replace

from motet.host import on_host
from motet.training.loss_scale import LossScale
from motet.training.passes.averages import Averages
from motet.training.passes.forward import Forward
from motet.training.passes.gradients import joined_gradients
from motet.training.passes.passed import Passed, Terms, added
from motet.training.plan import Part, Plan


class Beside:
    """Makes the passes of parts beside the balancer.

    Args:
        forward: Computes losses.
        averages: Running averages, which stay as they are.
        scale: The factor on the losses in backward passes.
    """

    def __init__(self, forward: Forward, averages: Averages, scale: LossScale) -> None:
        self._forward, self._averages, self._scale = forward, averages, scale

    def run(self, plan: Plan, passed: Passed | None) -> Passed | None:
        """Compute the parts beside and their backward passes.

        Args:
            plan: The step.
            passed: What the balanced parts gave.

        Returns:
            What all parts gave; None if there was nothing to train.
        """
        terms: Terms = {}
        forward = self._forward
        parameters = list(forward.model.parameters())
        with self._averages.unchanged(), joined_gradients(parameters, forward.processes):
            for task in dict.fromkeys(part.tasks[0] for part in plan.beside):
                terms |= self._of(task, plan)
        if not terms:
            return passed
        losses = {task: total / count for task, (total, count) in terms.items()}
        if passed is None:
            return Passed(terms, losses, None)
        return replace(passed, terms={**passed.terms, **terms}, losses={**passed.losses, **losses})

    def _of(self, task: str, plan: Plan) -> Terms:
        """Make the passes of a task's rows, piece by piece, with their share of the whole loss."""
        parts = [part for part in plan.beside if task in part.tasks]
        pieces = [
            (number, piece)
            for part in parts
            for number, piece in enumerate(part.cut(plan.micro_batches))
        ]
        found: list[Terms] = []
        whole = self._count(task, parts) if len(pieces) > 1 else None
        factor = self._scale.factor
        for number, piece in pieces:
            computed = self._forward.terms([piece], plan.step, number)
            for total, count in computed.terms.values():
                if whole is None:
                    whole = on_host([count])[0]
                if whole and (total.requires_grad or task in computed.elsewhere):
                    if total.requires_grad:
                        with self._forward.redrawing():
                            (factor * piece.weight * (total / whole)).backward()  # type: ignore[no-untyped-call]  # torch's
                    found.append({task: (total.detach(), count)})
        return added(found)

    def _count(self, task: str, parts: Sequence[Part]) -> float:
        """Count the elements of the targets, without a forward pass."""
        counts = [part.count(self._forward.model.tasks[task]) for part in parts]
        return sum(on_host([count for count in counts if count is not None]))
