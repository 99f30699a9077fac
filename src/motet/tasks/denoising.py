"""Denoising of tables: restore cells that were swapped between rows."""

from typing import Any, ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor

from motet.options import AuxiliaryOptions, PositiveShare, Unpack, checked
from motet.problems import InputError
from motet.tasks.additive import sum_masked
from motet.tasks.auxiliary import Auxiliary
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import at_least_float32
from motet.tasks.losses.elements import cross_entropy, mse

_MOST_VALUES = 100_000
"""Values of a category that can be restored."""


class Cells(NamedTuple):
    """The cells of a row that are restored."""

    numbers: tuple[int, ...] = ()
    """Columns of numbers, standardised."""
    categories: tuple[int, ...] = ()
    """For each column of categories, the number of values."""
    marks: tuple[int | None, ...] = ()
    """For each of the numbers, the column of numbers that is 1 where it is missing, if any."""


@final
class Denoising(Auxiliary):
    """Restore cells that were replaced by those of other rows (Vincent et al., ICML 2008).

    A share of the cells of a batch gets the value that another of its rows has in the same column,
    which may be the same value. Raw outputs are all cells: a number each, and a score for each
    value of a category. The loss is the mean over cells of the squared error of numbers, which are
    standardised, and the cross-entropy of categories. Missing numbers are neither replaced nor
    scored; a missing category is a value like others. Noise by swapping keeps each column's
    distribution, unlike the noise of the paper.

    Args:
        name: The task's name.
        share: Share of the cells that is replaced.
        scored: Whether all cells are scored, or only those that were replaced.
        cells: The columns of the table; a run takes them from its inputs.
        **common: Options of every auxiliary task; see `motet.options.AuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong, or there is no table.

    Example:
        >>> cells = Denoising("cells", share=0.5, cells=Cells(numbers=(0, 1)))
        >>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> cells.view(rows, torch.Generator().manual_seed(0))
        (tensor([[3., 2.],
                [1., 4.]]), tensor([[1., 2.],
                [3., 4.]]))
    """

    kind: ClassVar[str] = "denoising"
    labels: ClassVar[LabelKind | str] = "none"
    loss_name = "mse, cross_entropy"

    @checked
    def __init__(
        self,
        name: str,
        *,
        share: PositiveShare = 0.15,
        scored: Literal["all", "corrupted"] = "all",
        cells: Cells | None = None,
        **common: Unpack[AuxiliaryOptions],
    ) -> None:
        super().__init__(name, **common)
        self.share, self.scored = share, scored
        self._use(Cells() if cells is None else cells)

    def read_shapes(self, shapes: Any) -> None:
        columns, categories = shapes.table.numbers, tuple(shapes.table.categories)
        if not columns and not categories:
            raise InputError(
                "denoising restores cells of a table, and no input is a number, a category or a "
                "vector; remove the task",
                owner=f"task {self.name!r}",
            )
        if max(categories, default=0) > _MOST_VALUES:
            raise InputError(
                "denoising has a score for each value of a category, and one has "
                f"{max(categories):,}; expected at most {_MOST_VALUES:,}: hash it into fewer "
                "buckets, or remove the task",
                owner=f"task {self.name!r}",
            )
        numbers = tuple(place for place, each in enumerate(columns) if not each.marks)
        marked: dict[int, int] = {}
        for place, column in enumerate(columns):
            marked |= dict.fromkeys(range(place - column.marks, place), place)
        self._use(Cells(numbers, categories, tuple(map(marked.get, numbers))))

    def require_outputs(self) -> None:
        if self.outputs < 1:
            raise InputError(
                "the columns are not known; give cells=motet.tasks.Cells(numbers=(0, 1, ...)); "
                "only a run learns them",
                owner=f"task {self.name!r}",
            )

    def applies(self, inputs: Any) -> bool:
        if isinstance(inputs, Tensor):
            return True
        return all(inputs.get(name, "unknown") is not None for name in ("numbers", "categories"))

    def view(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Tensor]:
        self.require_outputs()
        given = {"numbers": inputs} if isinstance(inputs, Tensor) else inputs
        numbers, categories = self._numbers(given), self._categories(given)
        cells = torch.cat([numbers, categories.to(numbers.dtype)], dim=1)
        draw: dict[str, Any] = {"generator": generator, "device": cells.device}
        rows = len(cells)
        steps = torch.randint(1, max(rows, 2), cells.shape, **draw)
        others = (torch.arange(rows, device=cells.device)[:, None] + steps) % max(rows, 1)
        known = self._known(given, cells)
        swapped = torch.rand(cells.shape, **draw) < self.share
        swapped &= known & known.gather(0, others) & (rows > 1)
        seen = torch.where(swapped, cells.gather(0, others), cells)
        scored = known & swapped if self.scored == "corrupted" else known
        return self._put_back(inputs, seen), torch.where(scored, cells, torch.nan)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add up the losses of the cells.

        Args:
            raw: A number for each column of numbers, then a score for each value of each category,
                (B, outputs).
            target: Numbers and places of values, (B, cells), NaN where a cell is not scored.
            weights: How much each row counts, (B,).

        Returns:
            Sum () and count () of cells.
        """
        raw = at_least_float32(raw.reshape(len(target), -1))
        self._expect(raw, (len(target), self.outputs))
        width, target = len(self.cells.numbers), self.counted(target, weights)
        present = self.label_kind.present(target)
        numbers, *scores = torch.split(raw, [width, *self.cells.categories], dim=1)
        total, _ = sum_masked(mse, numbers, target[:, :width], present[:, :width], weights)
        for column, score in enumerate(scores, width):
            there = present[:, column]
            label = target[:, column].nan_to_num().long()
            total = total + sum_masked(cross_entropy, score, label, there, weights)[0]
        return total, self.count(target, weights)

    def _use(self, cells: Cells) -> None:
        self.cells = cells
        self.outputs = len(cells.numbers) + sum(cells.categories)

    def _numbers(self, given: Any) -> Tensor:
        if not self.cells.numbers:
            categories: Tensor = given["categories"]
            return categories.new_zeros(len(categories), 0, dtype=torch.float32)
        numbers: Tensor = given["numbers"]
        return numbers[:, list(self.cells.numbers)]

    def _categories(self, given: Any) -> Tensor:
        if self.cells.categories:
            found: Tensor = given["categories"]
            return found
        return torch.zeros(len(given["numbers"]), 0, device=given["numbers"].device)

    def _known(self, given: Any, cells: Tensor) -> Tensor:
        """Return which cells are not missing numbers, (B, cells)."""
        known = torch.ones_like(cells, dtype=torch.bool)
        for place, mark in enumerate(self.cells.marks):
            if mark is not None:
                known[:, place] = given["numbers"][:, mark] == 0
        return known

    def _put_back(self, inputs: Any, seen: Tensor) -> Any:
        width = len(self.cells.numbers)
        given = {"numbers": inputs} if isinstance(inputs, Tensor) else dict(inputs)
        if width:
            numbers = given["numbers"].clone()
            numbers[:, list(self.cells.numbers)] = seen[:, :width]
            given["numbers"] = numbers
        if self.cells.categories:
            given["categories"] = seen[:, width:].to(given["categories"].dtype)
        return given["numbers"] if isinstance(inputs, Tensor) else given
