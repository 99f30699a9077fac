"""Changed rows of tables and texts, for tasks that compare two views of a row.

Inputs are those of a model: a tensor, or a mapping, perhaps nested. Numbers (B, D) are cells of a
table, and so are whole numbers named "categories"; other whole numbers (B, L) are tokens of a text,
0 is padding. Anything else stays as it is.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from motet.problems import InputError
from motet.tasks.text_auxiliary import words_of
from motet.vocabularies import Vocabulary


class RowViews:
    """Makes a second view of rows: some cells swapped or dropped, some words left out.

    Args:
        cells: What happens to cells: they get the value of another row of the batch, or numbers
            become 0 and categories unknown.
        share: Share of the cells and words.
    """

    def __init__(self, cells: Literal["swap", "drop"], share: float) -> None:
        self._cells, self._share = cells, share
        self._together: Tensor | None = None
        self._vocabularies: Mapping[str, Vocabulary | None] = {}

    def read_shapes(self, shapes: Any, owner: str) -> None:
        """Learn which columns of numbers belong together, and which tokens are words.

        Raises:
            InputError: If there is neither a table nor a text.
        """
        if not shapes.has_table and not shapes.texts:
            raise InputError(
                "the second view changes cells and words, and no input is a number, a category, a "
                "vector or a text; remove the task",
                owner=owner,
            )
        places = list(range(len(shapes.table.numbers)))
        for place, column in enumerate(shapes.table.numbers):  # marks of missing numbers
            for marked in range(place - column.marks, place):
                places[marked] = place
        self._together = torch.tensor(places, dtype=torch.long)
        self._vocabularies = {name: each.tokens for name, each in shapes.texts.items()}

    def __call__(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Any]:
        """Return the inputs as they are, and changed.

        Raises:
            InputError: If nothing in them can be changed.
        """
        changed: list[str] = []
        made = self._changed(inputs, "numbers", generator, changed)
        if not changed:
            raise InputError(
                "views: found no cells and no tokens in the inputs; give a function (inputs, "
                "generator) that returns the inputs of both views"
            )
        return inputs, made

    def _changed(self, tree: Any, name: str, generator: torch.Generator, changed: list[str]) -> Any:
        if isinstance(tree, Mapping):
            if "ids" in tree or "grams" in tree:
                changed.append(name)
                read = ("ids", "segments", "characters")
                parts = {part: tree[part] for part in read if part in tree}
                made = self._without_words(parts, name, generator) if parts else {}
                if "grams" in tree:  # hashed beforehand, so not those of the words that are left
                    left = self._without_words({"ids": tree["grams"]}, "", generator)
                    made["grams"] = left["ids"]
                return made
            return {
                key: self._changed(each, str(key), generator, changed) for key, each in tree.items()
            }
        if not isinstance(tree, Tensor) or tree.ndim != 2 or tree.dtype == torch.bool:
            return tree
        changed.append(name)
        if tree.is_floating_point() or name == "categories":
            return self._with_other_cells(tree, name, generator)
        return self._without_words({"ids": tree}, name, generator)["ids"]

    def _with_other_cells(self, cells: Tensor, name: str, generator: torch.Generator) -> Tensor:
        rows, columns = cells.shape
        draw: dict[str, Any] = {"generator": generator, "device": cells.device}
        chance = torch.rand(cells.shape, **draw)
        steps = torch.randint(1, max(rows, 2), cells.shape, **draw)
        if name == "numbers" and self._together is not None and len(self._together) == columns:
            together = self._together.to(cells.device)
            chance, steps = chance[:, together], steps[:, together]
        if self._cells == "drop":
            return cells.masked_fill(chance < self._share, 0)
        others = (torch.arange(rows, device=cells.device)[:, None] + steps) % max(rows, 1)
        return torch.where(chance < self._share, cells.gather(0, others), cells)

    def _without_words(
        self, text: Mapping[str, Tensor], name: str, generator: torch.Generator
    ) -> dict[str, Tensor]:
        ids, vocabulary = text["ids"], self._vocabularies.get(name)
        words = ids > 0 if vocabulary is None else words_of(ids, vocabulary)
        chance = torch.rand(ids.shape, generator=generator, device=ids.device)
        chance = chance.masked_fill(~words, 2.0)
        dropped = (chance < self._share) & (chance > chance.amin(dim=1, keepdim=True))
        order = dropped.long().argsort(dim=1, stable=True)
        made = {}
        for part, values in text.items():  # (B, L), or (B, L, K)
            more = (..., *(None for _ in values.shape[2:]))
            left = values.masked_fill(dropped[more], 0)
            made[part] = left.gather(1, order[more].expand_as(left))
        return made


def both(first: Any, second: Any) -> tuple[Any, int]:
    """Join the inputs of two views of the same rows, those of the first before.

    Returns:
        Inputs of the same form, of twice as many rows B, and B.

    Raises:
        InputError: If they have different forms or numbers of rows.
    """
    rows: list[int] = []
    made = _joined(first, second, rows)
    if len(set(rows)) != 1:
        raise InputError(
            f"views: found views of {', '.join(map(str, sorted(set(rows)))) or 'no'} rows; "
            "expected the same rows in both"
        )
    return made, rows[0]


def _joined(first: Any, second: Any, rows: list[int]) -> Any:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return {name: _joined(first.get(name), second.get(name), rows) for name in second}
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        rows += [len(first), len(second)]
        longer = first.ndim > 1 and first.shape[1] != second.shape[1]
        if longer and not first.is_floating_point() and first.ndim == second.ndim < 4:
            length = max(first.shape[1], second.shape[1])
            inner = [0, 0] * (first.ndim - 2)
            first, second = (
                pad(each, [*inner, 0, length - each.shape[1]]) for each in (first, second)
            )
        if first.shape[1:] != second.shape[1:]:
            raise InputError(
                f"views: found the shapes {tuple(first.shape)} and {tuple(second.shape)}; expected "
                "the same but for the rows"
            )
        return torch.cat([first, second])
    if first is None and second is None:
        return None
    raise InputError(
        f"views: found {type(first).__name__} in the first view and {type(second).__name__} in the "
        "second; expected the same form in both"
    )
