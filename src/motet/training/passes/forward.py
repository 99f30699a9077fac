"""Forward passes of parts, each with its own random numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from motet.model import MultiTaskModel
from motet.tasks.labels import at_least_float32
from motet.training.passes.passed import Raw, Terms, added
from motet.training.plan import Part
from motet.training.randomness import Generators


class Forward:
    """Computes raw outputs and losses.

    Args:
        model: The model.
        device: Device of the batches.
        precision: Arithmetic of the forward pass.
        generators: The random generators.
    """

    def __init__(
        self, model: MultiTaskModel, device: torch.device, precision: str, generators: Generators
    ) -> None:
        self.model, self.generators = model, generators
        self._device, self._dtype = device, getattr(torch, precision)

    def terms(self, parts: Sequence[Part], step: int, piece: int = 0) -> tuple[Raw, Terms]:
        """Compute the losses of some parts.

        Args:
            parts: The parts; the sums and counts of a task that is in several are added up.
            step: Steps made before. The first batch of rows as the data have them draws from what
                was seeded for the step; every other part from a generator of its own, so that parts
                do not change what others draw.
            piece: Number of the micro-batch.

        Returns:
            Raw output, and sum and count of the loss, of each task.
        """
        raw: Raw = {}
        terms: Terms = {}
        for part in parts:
            if part.name:
                with self.generators.apart(f"step/{part.name}/{piece}", step):
                    outputs = self._raw(part)
            else:
                outputs = self._raw(part)
            raw |= outputs
            found = self.model.loss_terms(outputs, part.batch.targets, part.batch.weights)
            terms = added([terms, found]) if terms else found
        return raw, terms

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Compute in float32 in place of float16, in which gradients need a loss scale."""
        dtype = self._dtype
        self._dtype = torch.float32 if dtype == torch.float16 else dtype
        try:
            yield
        finally:
            self._dtype = dtype

    def penalty(self) -> Tensor | None:
        """Compute the regulariser of the sharing scheme, if it has one."""
        return self.model.sharing.penalty(self.model.active_tasks)

    def _raw(self, part: Part) -> Raw:
        with _autocast(self._device, self._dtype):
            if part.rows is None:
                raw = self.model(part.batch.inputs, part.tasks, self._targets(part))
            else:
                raw = self.model(part.batch.inputs, part.tasks, rows=part.rows)
        return {task: at_least_float32(output) for task, output in raw.items()}

    def _targets(self, part: Part) -> Mapping[str, Tensor | None]:
        """Return targets, of which heads that take them have missing ones rather than none.

        Otherwise such a head would predict, where no loss follows.
        """
        targets = part.batch.targets
        lacking = [
            task
            for task in part.tasks
            if targets.get(task) is None and self.model.takes_target(task)
        ]
        if not lacking:
            return targets
        kinds = {task: self.model.tasks[task].label_kind for task in lacking}
        rows = len(part.batch)
        return {**targets, **{t: kind.missing(rows, self._device) for t, kind in kinds.items()}}


def _autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which a forward pass computes in ``dtype``."""
    half = dtype != torch.float32
    if not half and not torch.is_autocast_enabled(device.type):
        return nullcontext()  # ten times cheaper than an autocast that is off
    return torch.autocast(device.type, dtype if half else None, enabled=half)
