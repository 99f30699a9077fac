"""Modules whose parts can stop learning, and then compute as in evaluation if asked to.

What is frozen is said by ``requires_grad`` of the parameters. Which of them are held as in
evaluation is noted at the modules that own them, so that a model and an encoder within it, and
their copies, know the same.
"""

from collections.abc import Iterable, Iterator
from typing import Self

from torch import nn


class Freezable(nn.Module):
    """A module that stays as in evaluation, where it was frozen so, when it goes into training."""

    _mode = True  # what `train` was last told, whatever was held

    def train(self, mode: bool = True) -> Self:
        """Go into training mode, but for what is frozen as in evaluation."""
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
        for parameter in parameters:
            parameter.requires_grad_(trained)
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
    """Note whether parameters are held, by their names in every module that owns them."""
    chosen = set(map(id, parameters))
    for module in root.modules():
        own = {name for name, p in module.named_parameters(recurse=False) if id(p) in chosen}
        if own:
            noted: frozenset[str] = getattr(module, _NOTE, frozenset())
            setattr(module, _NOTE, noted | own if held else noted - own)


def _hold(root: nn.Module) -> None:
    """Let modules compute as in evaluation whose parameters are all held."""
    held = set(map(id, held_parameters(root)))
    if not held:
        return
    for module in root.modules():
        own = set(map(id, module.parameters()))
        if own and own <= held:
            for each in module.modules():  # past `train`, which would forget what it was told
                each.training = False
