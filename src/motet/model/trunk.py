"""What a module that was made for one task computes before its head, and how it is called."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Trunk(nn.Module):
    """A module that was made for one task, without its head.

    Args:
        module: The module, with nothing in place of its head. It takes its inputs as one argument,
            or several by ``{argument: value}``.
        output: The key of its output, if it returns a mapping.
        kind: The type of that mapping; a dictionary.
        task: The task that it was made for.
        column: Whether its output, one number a row, has an axis for it: (B, 1) in place of (B,).
        width: Number of features.
    """

    def __init__(
        self,
        module: nn.Module,
        output: str | None,
        kind: type[dict[str, Any]],
        task: str,
        column: bool,
        width: int,
    ) -> None:
        super().__init__()
        self.module, self.output, self.kind = module, output, kind
        self.task, self.column, self.width = task, column, width
        self.names: dict[str, str] = {}
        """By name in the state of the module and its head, the name in that of the model."""

    def forward(self, inputs: Any) -> Tensor:
        """Return the features that the head reads, (B, width)."""
        returned = called(self.module, inputs)
        found: Tensor = returned if self.output is None else returned[self.output]
        return found

    def inputs_of(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Return the inputs of a call: one argument as it is, several by name.

        Raises:
            TypeError: If the module does not take them.
        """
        if len(given) == 1 and not named:
            return given[0]
        signature = inspect.signature(self.module.forward)
        found = signature.bind(*given, **named).arguments
        if _takes_one(self.module):
            return next(iter(found.values()))
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                found |= found.pop(name, {})
        return found

    def answer(self, raw: Tensor) -> Any:
        """Return the raw output of the task as the module returned it."""
        found = raw.unsqueeze(-1) if self.column else raw
        if self.output is None:
            return found
        answer = self.kind()
        answer[self.output] = found
        return answer


def called(module: nn.Module, inputs: Any) -> Any:
    """Call a module with its one argument, or with several by ``{argument: value}``."""
    several = not _takes_one(module) and isinstance(inputs, Mapping)
    return module(**inputs) if several else module(inputs)


def _takes_one(module: nn.Module) -> bool:
    """Whether a module has one argument alone."""
    kinds = [each.kind for each in inspect.signature(module.forward).parameters.values()]
    return len(kinds) == 1 and kinds[0] is not inspect.Parameter.VAR_KEYWORD
