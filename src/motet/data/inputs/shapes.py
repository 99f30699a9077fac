"""What the encoders of a model need to know about its inputs, and the one tree they read.

Columns of numbers and of categories are side by side in one matrix each, for the encoder of the
table; a text is under "texts" and its name; any other input is under its own name, for the encoder
that its option ``encoder`` chooses.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet.problems import InputError
from motet.vocabularies import Vocabulary

NUMBERS, CATEGORIES, SETS, TEXTS = "numbers", "categories", "sets", "texts"
_OWN = (NUMBERS, CATEGORIES, SETS, TEXTS)


class Expansion(NamedTuple):
    """How an encoder can spread a column x of numbers over T bins, of equal width in x.

    Bin t becomes ``(clip((x - starts[t]) * slope, 0, 1) - means[t]) / stds[t]``, the
    piecewise-linear encoding of Gorishniy et al. (NeurIPS 2022, arXiv:2203.05556). We differ
    in that the outer bins are cut at 0 and 1 too, and that each bin is standardised.
    """

    starts: Sequence[float]
    slope: float
    means: Sequence[float]
    stds: Sequence[float]


class NumberColumn(NamedTuple):
    """A column of numbers."""

    name: str
    expansion: Expansion | None = None
    """The bins to spread it over; None to take it as it is."""
    marks: int = 0
    """How many columns before it it marks: it is 1 in rows where one of them is missing, else 0."""


@dataclass(frozen=True)
class TableShape:
    """Shape of an input with columns of numbers, of category indices, or both."""

    numbers: tuple[NumberColumn, ...] = ()
    categories: tuple[int, ...] = ()
    """For each column of categories, the number of values."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(column.name for column in self.numbers)

    @property
    def expansions(self) -> tuple[Expansion | None, ...]:
        """For each column of numbers, the bins to spread it over."""
        return tuple(column.expansion for column in self.numbers)


@dataclass(frozen=True)
class SetShape:
    """Shape of a set of values, which the encoder of the table reads."""

    values: int
    """Number of indices: 0 is padding, 1 a missing set, 2 an unknown value."""
    pool: str
    """Whether the vectors of its values become a "mean" or a "sum"."""


@dataclass(frozen=True)
class TextSizes:
    """Shape of a text."""

    vocabulary: int
    """Number of tokens, padding (0) included; 0 where its encoder reads none."""
    segments: int = 1
    """Number of segments of a text: 2 for pairs."""
    words: bool = False
    """Whether its tokens are grouped into words, so that each word can be labelled."""
    tokens: Vocabulary | None = None
    """What its tokens mean; unknown if left out."""
    empty: int = 0
    """Number of tokens of a text without words, which is a missing one."""

    reads: ClassVar[str] = "text"

    @property
    def arguments(self) -> tuple[int, int]:
        """Positional arguments of its encoder."""
        return self.vocabulary, self.segments


@dataclass(frozen=True)
class BranchShape:
    """Shape of any other input, which has its own branch of the model."""

    reads: str
    """``reads`` of the encoders that fit, such as "image"."""
    arguments: tuple[Any, ...] = ()
    """Positional arguments of its encoder, such as height and width."""


Shape = TableShape | SetShape | TextSizes | BranchShape


class Columns(NamedTuple):
    """Which columns of the table an input has."""

    numbers: range
    categories: range


@dataclass(frozen=True)
class InputShapes:
    """Shapes of all inputs of a model."""

    table: TableShape
    """The columns of all inputs that have some, in order."""
    texts: Mapping[str, TextSizes]
    branches: Mapping[str, BranchShape]
    columns: Mapping[str, Columns] = field(default_factory=dict)
    """For each input in the table that has some, its columns."""
    sets: Mapping[str, SetShape] = field(default_factory=dict)
    """The sets of values, which are read with the table."""
    by_name: Mapping[str, Shape] = field(default_factory=dict)
    """The shape of every input, by its name."""

    @staticmethod
    def of(shapes: Mapping[str, Shape]) -> "InputShapes":
        """Collect the shapes of inputs, by name.

        Returns:
            The shapes, by what they are read with.

        Raises:
            InputError: If a branch has the name of a leaf that others share.
        """
        tables = [each for each in shapes.values() if isinstance(each, TableShape)]
        branches = {name: each for name, each in shapes.items() if isinstance(each, BranchShape)}
        for name in branches:
            if name in _OWN:
                raise InputError(
                    f"input {name!r}: the name is used for other inputs; choose another name"
                )
        return InputShapes(
            TableShape(
                tuple(column for each in tables for column in each.numbers),
                tuple(size for each in tables for size in each.categories),
            ),
            {name: each for name, each in shapes.items() if isinstance(each, TextSizes)},
            branches,
            _columns({n: each for n, each in shapes.items() if isinstance(each, TableShape)}),
            {name: each for name, each in shapes.items() if isinstance(each, SetShape)},
            dict(shapes),
        )

    def split(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Take a joined tree apart again, for an encoder that reads every input by its name.

        Args:
            tree: What `join` returned, as arrays or tensors of B rows each; None for inputs that
                the rows lack.

        Returns:
            For each input what its ``apply`` made: of a `TableShape` its "numbers" (B, numbers) and
            "categories" (B, categories), of a set its indices (B, L), of a text its tokens, of any
            other its tree, with "present" (B,) where rows can lack it; None if all rows lack it.

        Example:
            >>> age, kind = TableShape((NumberColumn("age"),)), TableShape(categories=(4,))
            >>> shapes = InputShapes.of({"age": age, "kind": kind})
            >>> shapes.split({"numbers": np.ones((1, 1)), "categories": np.zeros((1, 1))})["age"]
            {'numbers': array([[1.]])}
        """
        shared = {**(tree.get(SETS) or {}), **(tree.get(TEXTS) or {})}
        found: dict[str, Any] = {}
        for name, shape in self.by_name.items():
            if isinstance(shape, TableShape):
                found[name] = self._columns_of(name, tree)
            else:
                found[name] = (tree if isinstance(shape, BranchShape) else shared).get(name)
        return found

    def _columns_of(self, name: str, tree: Mapping[str, Any]) -> dict[str, Any] | None:
        places = self.columns[name]._asdict().items()
        given = {kind: (tree.get(kind), place) for kind, place in places if len(place)}
        found = {
            kind: columns[:, place.start : place.stop]
            for kind, (columns, place) in given.items()
            if columns is not None
        }
        return found if len(found) == len(given) else None

    @property
    def own(self) -> dict[str, TextSizes | BranchShape]:
        """The inputs with their own encoder, texts first."""
        return {**self.texts, **self.branches}

    @property
    def has_table(self) -> bool:
        """Whether there are numbers, categories or sets."""
        return bool(self.table.numbers or self.table.categories or self.sets)


def _columns(tables: Mapping[str, TableShape]) -> dict[str, Columns]:
    found, numbers, categories = {}, 0, 0
    for name, each in tables.items():
        ends = numbers + len(each.numbers), categories + len(each.categories)
        found[name] = Columns(range(numbers, ends[0]), range(categories, ends[1]))
        numbers, categories = ends
    return found


def join(
    shapes: Mapping[str, Shape], trees: Iterable[tuple[str, Any]], rows: int
) -> dict[str, Any]:
    """Join the trees of all inputs into one; columns are copied, all else stays as it is.

    Args:
        shapes: Shape of each input, by name, in the order of columns.
        trees: Name and tree of each input, in the same order.
        rows: Number of rows N.

    Returns:
        "numbers", float32 (N, numbers), "categories", int64 (N, categories), "sets" and "texts",
        each only where there are some; and every other tree under its input's name.
    """
    joined = InputShapes.of(shapes)
    arrays: dict[str, NDArray[Any]] = {
        NUMBERS: np.empty((rows, len(joined.table.numbers)), np.float32),
        CATEGORIES: np.empty((rows, len(joined.table.categories)), np.int64),
    }
    filled = dict.fromkeys(arrays, 0)
    sets: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    branches: dict[str, Any] = {}
    for name, tree in trees:
        if name in joined.branches:
            branches[name] = tree
        elif name in joined.texts:
            texts[name] = tree
        elif name in joined.sets:
            sets[name] = tree
        else:
            for kind, columns in tree.items():
                start, width = filled[kind], columns.shape[1]
                arrays[kind][:, start : start + width] = columns
                filled[kind] += width
    found: dict[str, Any] = {kind: array for kind, array in arrays.items() if array.shape[1]}
    by_name = {kind: each for kind, each in ((SETS, sets), (TEXTS, texts)) if each}
    return found | by_name | branches
