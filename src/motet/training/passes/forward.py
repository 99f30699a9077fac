"""Forward passes of parts, each with its own random numbers, divided among processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.sharing import SharedModule
from motet.tasks.labels import at_least_float32
from motet.training.passes.draws import Recorded, Redraws, RowDraws
from motet.training.passes.joining import Joining
from motet.training.passes.passed import Raw, Terms, added
from motet.training.plan import Part
from motet.training.randomness import Generators


@dataclass(frozen=True)
class Computed:
    """What forward passes gave."""

    raw: Raw
    """Raw output of each task, of the rows of this process."""
    terms: Terms
    """Sum and count of each task's loss, of all rows."""
    elsewhere: frozenset[str] = frozenset()
    """The tasks whose loss has a gradient on some process, of several."""


class Forward:
    """Computes raw outputs and losses.

    Args:
        model: The model.
        device: Device of the batches.
        precision: Arithmetic of the forward pass.
        generators: The random generators.
        joining: Adds up losses over processes.
        soft_share: Returns how much losses against what teachers predict count now.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        device: torch.device,
        precision: str,
        generators: Generators,
        joining: Joining,
        soft_share: Callable[[], float],
    ) -> None:
        self.model, self.generators, self.joining = model, generators, joining
        self.processes, self.several = joining.processes, joining.processes.several
        self.group: dict[str, Any] = {"process_group": self.processes.group} if self.several else {}
        """The argument of `motet.backward` that joins gradients over processes, if several."""
        self.withholds = False
        """Whether the regulariser is added to the gradients after all else."""
        self.withheld: Tensor | None = None
        """The regulariser that is to be added."""
        self._forced = any(model.takes_target(task) for task in model.tasks.names)
        self._penalizes = type(model.sharing).penalty is not SharedModule.penalty
        self._soft_share = soft_share
        self._device, self._dtype = device, getattr(torch, precision)
        self._like = torch.zeros((), device=device)
        self._recorded: Recorded = {}  # by checkpointed modules, of the step in progress

    def terms(self, parts: Sequence[Part], step: int, piece: int = 0) -> Computed:
        """Compute the losses of some parts.

        Args:
            parts: The parts; the sums and counts of a task that is in several are added up.
            step: Steps made before. The first batch of rows as the data have them draws from what
                was seeded for the step; every other part from a generator of its own, so that parts
                do not change what others draw.
            piece: Number of the micro-batch.

        Returns:
            Raw outputs and losses.
        """
        raw: Raw = {}
        terms: Terms = {}
        own = [part.of(self.processes) for part in parts] if self.several else parts
        for part in own:
            if part.share is not None and not len(part):
                self.joining.join_means(0)
                continue  # of fewer rows than processes
            if part.name or piece:
                with self.generators.apart(f"step/{part.name}/{piece}", step):
                    outputs = self._raw(part)
            else:
                outputs = self._raw(part)
            if part.share is not None:
                self.joining.join_means(len(part) / part.share.rows)
            raw |= outputs
            batch = part.batch
            share = self._soft_share() if batch.soft else 0.0
            found = self.model.loss_terms(outputs, batch.targets, batch.weights, batch.soft, share)
            terms = added([terms, found]) if terms else found
        if not self.several:
            return Computed(raw, terms)
        return Computed(raw, *self.joining.join(_with_targets(parts), terms, parts, self._like))

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Compute in float32 in place of float16, in which gradients need a loss scale."""
        dtype = self._dtype
        self._dtype = torch.float32 if dtype == torch.float16 else dtype
        try:
            yield
        finally:
            self._dtype = dtype

    def penalty(self) -> tuple[Tensor | None, Tensor | None]:
        """Compute the regulariser of the sharing scheme, if it has one.

        Returns:
            Its value, and what is to be differentiated with the losses: the same, unless it reaches
            nothing that trains, or is `withheld`.
        """
        if not self._penalizes:
            return None, None
        found = self.model.sharing.penalty(self.model.active_tasks)
        trained = found if found is not None and found.requires_grad else None
        if not self.withholds:
            return found, trained
        self.withheld = trained
        return found, None

    def _raw(self, part: Part) -> Raw:
        drawing = nullcontext() if part.share is None else self._drawing(part)
        with _autocast(self._device, self._dtype), drawing:
            if part.rows is None:
                targets = self._targets(part) if self._forced else part.batch.targets
                raw = self.model(part.batch.inputs, part.tasks, targets)
            else:
                raw = self.model(part.batch.inputs, part.tasks, rows=part.rows)
        return {task: at_least_float32(output) for task, output in raw.items()}

    @contextmanager
    def _drawing(self, part: Part) -> Iterator[None]:
        """Draw for the rows of all processes; a head that has rows of its own, for those."""
        assert part.share is not None
        draws = RowDraws(len(part), part.share, self._recorded)
        hooks = []
        for task, share in part.shares.items():
            target, head = part.batch.targets[task], self.model.heads[task]
            assert target is not None
            begin = partial(draws.begin, len(target), share)
            hooks.append(head.register_forward_pre_hook(lambda *_, begin=begin: begin()))
            hooks.append(head.register_forward_hook(lambda *_: draws.begin(len(part), part.share)))
        try:
            with draws:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def begin(self) -> None:
        """Begin a step."""
        self._recorded.clear()

    def redrawing(self, *, always: bool = False) -> AbstractContextManager[object]:
        """Return the context for backward passes: checkpointed modules draw what they drew.

        Args:
            always: Whether forward passes are made within it, too.
        """
        needed = self.several and (always or bool(self._recorded))
        return Redraws(self._recorded) if needed else nullcontext()

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


def _with_targets(parts: Sequence[Part]) -> list[str]:
    """Return the tasks that have targets in some part, in their order."""
    asked = ((task, part.batch.targets.get(task)) for part in parts for task in part.tasks)
    return list(dict.fromkeys(task for task, target in asked if target is not None))


@contextmanager
def noting_heads(model: MultiTaskModel, given: list[Tensor]) -> Iterator[None]:
    """List the tensors that heads are given within a block, each once.

    Args:
        model: The model.
        given: Receives them.
    """

    def note(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        state = arguments[0]
        if not isinstance(state, Tensor):
            raise InputError(
                "at: found representation, which several processes support where heads are given "
                f"one tensor; found {type(state).__name__}; remove at"
            )
        if state.requires_grad and all(state is not each for each in given):
            given.append(state)

    hooks = [head.register_forward_pre_hook(note) for head in model.heads]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which a forward pass computes in ``dtype``."""
    half = dtype != torch.float32
    if not half and not torch.is_autocast_enabled(device.type):
        return nullcontext()  # ten times cheaper than an autocast that is off
    return torch.autocast(device.type, dtype if half else None, enabled=half)
