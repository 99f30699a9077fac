"""Two views of a row by its inputs: one input alone, and all others."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from motet.problems import InputError, hint


@final
class InputViews:
    """Makes two views of rows: all inputs but one, and that one.

    Both have the form of the inputs. What a view lacks is empty in it: texts have no token, numbers
    are 0 and categories unknown, and so are the tensors of other inputs.

    Args:
        second: Name of the input that is the second view.
    """

    def __init__(self, second: str) -> None:
        self.second = second
        self._columns: dict[str, Tensor] = {}

    def read_shapes(self, shapes: Any, owner: str) -> None:
        """Learn which columns of the table are those of the second view.

        Raises:
            InputError: If no input has its name, or there is no other input.
        """
        known = [*shapes.columns, *shapes.sets, *shapes.own]
        if self.second not in known:
            raise InputError(_unknown(self.second, known), option="views", owner=owner)
        if len(known) == 1:
            raise InputError(
                f"found {self.second!r}, the only input, so nothing is left for the first view; "
                "use swap or drop",
                option="views",
                owner=owner,
            )
        if self.second in shapes.columns:
            columns = shapes.columns[self.second]
            places = {"numbers": columns.numbers, "categories": columns.categories}
            self._columns = {
                name: torch.tensor(list(each), dtype=torch.long) for name, each in places.items()
            }

    def applies(self, inputs: Any) -> bool:
        """Return whether rows that lack some inputs, None under their names, have the second."""
        if self._columns:
            own = [name for name, places in self._columns.items() if len(places)]
            return all(inputs.get(name, "unknown") is not None for name in own)
        sets = inputs.get("sets")
        if isinstance(sets, Mapping) and self.second in sets:
            return True
        texts = inputs.get("texts")
        texts = texts if isinstance(texts, Mapping) else {}
        return texts.get(self.second, inputs.get(self.second, "unknown")) is not None

    def __call__(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Any]:
        """Return the inputs without the second view, and it alone.

        Raises:
            InputError: If the inputs have no such name.
        """
        known = _names(inputs)
        if not self._columns and self.second not in known:
            raise InputError(_unknown(self.second, known), option="views")
        return self._view(inputs, second=False), self._view(inputs, second=True)

    def _view(self, inputs: Mapping[str, Any], *, second: bool) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, each in inputs.items():
            if name in ("texts", "sets") and isinstance(each, Mapping):
                made[name] = {
                    own: _part(tree, there=(own == self.second) == second)
                    for own, tree in each.items()
                }
            elif name in self._columns and isinstance(each, Tensor):
                own = torch.zeros(each.shape[1], dtype=torch.bool, device=each.device)
                own[self._columns[name].to(each.device)] = True
                made[name] = each.where(own == second, 0)
            else:
                made[name] = _part(each, there=(name == self.second) == second)
        return made


def _part(tree: Any, *, there: bool) -> Any:
    """Return an input as it is, or empty; of texts what their encoders need."""
    if isinstance(tree, Mapping):
        read = ("ids", "segments", "grams", "characters")
        parts = [part for part in read if part in tree] if "ids" in tree else tree
        return {part: _part(tree[part], there=there) for part in parts}
    return tree if there or not isinstance(tree, Tensor) else torch.zeros_like(tree)


def _names(inputs: Any) -> list[str]:
    if not isinstance(inputs, Mapping):
        return []
    named = [inputs.get(kind) for kind in ("sets", "texts")]
    return [*inputs, *(name for each in named if isinstance(each, Mapping) for name in each)]


def _unknown(name: str, known: list[str]) -> str:
    return f"found {name!r}; expected swap, drop, or the name of an input; {hint(name, known)}"
