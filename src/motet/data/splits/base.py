"""What all ways of splitting share: row numbers of three splits, fractions, and a seeded order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.problems import InputError
from motet.seeds import derive

FRACTION = 0.15
"""Share of the rows of validation and of test, where none is given."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Splits:
    """Row numbers of the splits, each ascending; no row is in two."""

    train: Numbers
    validation: Numbers
    test: Numbers
    notes: tuple[str, ...] = ()
    """What was decided by default, to be printed."""
    calibration: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows for calibration after training, which neither train nor choose the epoch; often none."""

    @staticmethod
    def of(places: NDArray[np.integer[Any]], notes: Sequence[str] = ()) -> "Splits":
        """Return the splits of rows whose places are 0 (train), 1 (validation) and 2 (test)."""
        train, validation, test = (np.flatnonzero(places == place) for place in range(3))
        return Splits(train, validation, test, tuple(notes))

    @property
    def places(self) -> NDArray[np.int64]:
        """The places that `of` takes, of rows that are all in some split."""
        splits = self.train, self.validation, self.test
        places = np.empty(sum(map(len, splits)), np.int64)
        for place, rows in enumerate(splits):
            places[rows] = place
        return places


@dataclass(frozen=True)
class Fractions:
    """Shares of the rows for validation and test, checked."""

    validation: float
    test: float

    def __post_init__(self) -> None:
        if not (self.validation > 0 and self.test >= 0 and self.validation + self.test < 1):
            raise InputError(
                f"found validation {self.validation:g} and test {self.test:g}, expected "
                "fractions whose sum is below 1, and validation above 0: it chooses the best epoch"
            )

    @property
    def shares(self) -> NDArray[np.float64]:
        """Shares of training, validation and, if there is one, test."""
        held_out = [self.validation, self.test] if self.test else [self.validation]
        return np.array([1 - sum(held_out), *held_out])

    def counts(self, rows: int) -> NDArray[np.int64]:
        """Return the numbers of rows for training, validation and, if there is one, test."""
        counts = [max(1, round(rows * fraction)) for fraction in self.shares[1:]]
        require_training_rows(rows, sum(counts))
        return np.array([rows - sum(counts), *counts])


def require_training_rows(rows: int, held_out: int) -> None:
    """Check that rows are left to train on.

    Raises:
        InputError: If there are none.
    """
    if held_out >= rows:
        raise InputError(
            f"{rows} rows are too few for training, validation and test splits; "
            "expected at least one row in each"
        )


def shuffled(count: int, seed: int) -> Numbers:
    """Return the numbers below ``count`` in the order of the seed."""
    generator = np.random.Generator(np.random.PCG64(derive(seed, "split")))
    return generator.permutation(count).astype(np.int64)


def marker(value: float | str | None, option: str) -> str | None:
    """Return a value that marks the rows of a split in a column.

    Raises:
        InputError: If it is a fraction.
    """
    if value is None or isinstance(value, str):
        return value
    raise InputError(
        f"found the fraction {value:g}, but a column is given; expected the value of the "
        "column that marks the rows",
        option=option,
    )


def fraction(value: float | str | None, option: str) -> float:
    """Return the share of the rows of a split.

    Raises:
        InputError: If it is a mark.
    """
    if isinstance(value, str):
        raise InputError(
            f"found {value!r} without a column; give column too, or a fraction such as 0.15",
            option=option,
        )
    return FRACTION if value is None else value
