"""Modules whose parts can stop learning, and then compute as in evaluation if asked to.

``requires_grad`` of the parameters determines what is frozen. The modules that own them record
which are held as in evaluation, so that a model, an encoder within it, and their copies agree.
"""

from collections.abc import Iterable, Iterator
from typing import Self

from torch import nn

from motet.adapting import fixed_parameters


class Freezable(nn.Module):
    """A module whose parts that are frozen as in evaluation stay so in training mode."""

    _mode = True  # the mode last set by `train`, whatever was held

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for what is frozen as in evaluation."""
        self._mode = mode
        super().train(mode)
        if mode:
            _hold(self)
        return self

    def _freeze(self, parameters: Iterable[nn.Parameter], evaluation: bool) -> None:
        self._set(list(parameters), trained=False, held=evaluation)

    def _unfreeze(self, parameters: Iterable[nn.Parameter]) -> None:
        self._set(list(parameters), trained=True, held=False)

    def _set(self, parameters: list[nn.Parameter], trained: bool, held: bool) -> None:
        fixed = set(map(id, fixed_parameters(self))) if trained else ()
        for parameter in parameters:
            parameter.requires_grad_(trained and id(parameter) not in fixed)
        _note(self, parameters, held)
        self.train(self._mode)


def held_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the frozen parameters whose modules compute as in evaluation."""
    for each in module.modules():
        for name in getattr(each, _NOTE, ()):
            parameter = each._parameters[name]
            if parameter is not None and not parameter.requires_grad:
                yield parameter


_NOTE = "_held_parameters"


def _note(root: nn.Module, parameters: Iterable[nn.Parameter], held: bool) -> None:
    """Record whether parameters are held, by their names in every module that owns them."""
    chosen = set(map(id, parameters))
    for module in root.modules():
        own = {name for name, p in module.named_parameters(recurse=False) if id(p) in chosen}
        if own:
            noted: frozenset[str] = getattr(module, _NOTE, frozenset())
            setattr(module, _NOTE, noted | own if held else noted - own)


def _hold(root: nn.Module) -> None:
    """Put modules whose parameters are all held into evaluation mode."""
    held = set(map(id, held_parameters(root)))
    if not held:
        return
    for module in root.modules():
        own = set(map(id, module.parameters()))
        if own and own <= held:
            for each in module.modules():  # not by `train`, which would overwrite the recorded mode
                each.training = False
