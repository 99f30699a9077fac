"""Averages of the weights of all steps, which are evaluated and kept in place of the last ones.

With the learning rate of a schedule's middle, weights of single steps jump around a minimum whose
middle is better than each of them (Izmailov et al., UAI 2018, arXiv:1803.05407). Costs a copy of
the trained weights, one pass over them per step, and a second copy during evaluations.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from motet.problems import InputError
from motet.training.state import TrainingState

_POWER = 6.94
"""Exponent of the profile whose width is a tenth of the steps (Karras et al., appendix C)."""
_LAST = 0.75
"""Share of all steps after which the plain mean begins."""


class WeightAverage:
    """Keeps the average of a model's weights; the numbers are in `TrainingState`.

    ``ema`` is the power-function profile of Karras et al. (CVPR 2024, arXiv:2312.02696): after n
    steps, weights of the next one enter with 1 - (1 - 1/n)^7.94. The first ones are forgotten
    however long training is, so there is no bias to correct, and the width grows with the steps.
    ``last_quarter`` is the plain mean of the steps after three quarters of those that
    `motet.Trainer.fit` makes.

    Weights that are frozen are not averaged until they are trained; they are then as if they had
    been constant before, at what their first step gave. Skipped steps do not count. Where
    `motet.Trainer.fit` is called again for more epochs, ``last_quarter`` begins anew with them.

    Args:
        model: The model.
        kind: ``ema`` or ``last_quarter``; None keeps none.

    Raises:
        InputError: If the model has BatchNorm, or another module with running statistics, which are
            those of the weights of single steps.
    """

    def __init__(self, model: nn.Module, kind: str | None) -> None:
        self.kind = kind
        self._parameters = list(model.named_parameters())
        if kind is not None:
            _refuse_running_statistics(model)

    def add(self, state: TrainingState, total: int) -> None:
        """Add the weights after a step.

        Args:
            state: Where training is; its average is updated.
            total: Steps in all, 0 if unknown.
        """
        if self.kind == "last_quarter" and (not total or state.position + 1 <= _LAST * total):
            state.averaged, state.average = 0, {}  # that of a shorter training before this one
            return
        state.averaged += 1
        count = state.averaged
        share = 1.0 / count
        if self.kind == "ema":
            share = 1.0 - (1.0 - share) ** (_POWER + 1.0)
        with torch.no_grad():
            self._lerp(state.average, share)

    def _lerp(self, average: dict[str, Tensor], share: float) -> None:
        means, values = [], []
        for name, parameter in self._parameters:
            mean = average.get(name)
            if mean is None:
                if parameter.requires_grad:
                    average[name] = parameter.detach().to(_precise(parameter), copy=True)
                continue
            means.append(mean)
            values.append(parameter.to(mean.dtype))
        if means:
            torch._foreach_lerp_(means, values, share)

    @contextmanager
    def used(self, state: TrainingState) -> Iterator[None]:
        """Put the average into the model, and afterwards the weights of the last step."""
        average = state.average
        if not average:
            yield
            return
        own = {name: each.detach() for name, each in self._parameters if name in average}
        before = {name: each.clone() for name, each in own.items()}
        try:
            self.load(state)
            yield
        finally:
            torch._foreach_copy_(list(own.values()), [before[name] for name in own])

    def load(self, state: TrainingState) -> None:
        """Put the average into the model, if there is one."""
        with torch.no_grad():
            for name, parameter in self._parameters:
                if name in state.average:
                    parameter.copy_(state.average[name])


def _precise(parameter: Tensor) -> torch.dtype:
    """Return a type in which small shares of a step are not rounded away."""
    return torch.promote_types(parameter.dtype, torch.float32)


def _refuse_running_statistics(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if getattr(module, "running_mean", None) is not None:
            kind = type(module).__name__
            raise InputError(
                f"found a model with {kind} ({name}), whose running statistics are those of the "
                "weights of single steps, not of their average; expected none; replace it, for "
                "example with LayerNorm or GroupNorm, or remove average",
                option="average",
            )
