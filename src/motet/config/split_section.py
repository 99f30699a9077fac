"""The section ``data.split``: which ways of splitting rows exclude each other."""

from typing import Annotated

from pydantic import Field, model_validator

from motet.config.members import Section
from motet.options import Fraction, NonNegativeInt, PositiveInt
from motet.problems import InputError

_EXCLUDED = {
    "column": ("group", "time", "folds"),
    "time": ("group", "folds", "stratify"),
}
"""Keys that have no effect beside another."""


class SplitConfig(Section):
    """How rows are split for training, validation and test."""

    column: str | None = None
    """Column that marks the split of each row; rows are drawn at random if left out."""
    train: str | None = None
    """Value of ``column`` that marks the training rows ("train")."""
    validation: Fraction | str | None = None
    """Fraction of the rows (0.15 if left out), or the value of ``column`` ("validation")."""
    test: Fraction | str | None = None
    """Fraction of the rows (0.15 if left out), or the value of ``column`` ("test")."""
    calibration: Fraction | str | None = None
    """Fraction of the rows, or the value of ``column``, that neither train nor choose the epoch:
    with them ``training.calibrate`` makes intervals and sets that hold exactly as often as stated.
    No rows if left out."""
    seed: NonNegativeInt = 0
    """Seed of random splits."""
    stratify: str | None = None
    """Column, usually a task's, whose classes have the same shares in all random splits; of a
    column of many numbers, its deciles."""
    group: str | None = None
    """Column that names the group of each row, such as the customer; the rows of a group are in one
    split."""
    time: str | None = None
    """Column with the time of each row; the latest rows are the test split, those before them
    validation."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Number of folds: ``motet train`` trains one run for each, which has it as its test split."""
    fold: PositiveInt | None = None
    """The one fold to train, from 1 on; all of them if left out."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitConfig":
        for name in ("validation", "test", "calibration"):
            value = getattr(self, name)
            if self.column is None and isinstance(value, str):
                raise InputError(
                    f"found {value!r}, which names a value of a column; give `column` too, or a "
                    f"fraction such as {name}: 0.15",
                    option=name,
                )
            if self.column is not None and isinstance(value, float):
                raise InputError(
                    f"found {value}, a fraction, but `column` is given; name the value of "
                    f"{self.column!r} that marks the {name} rows",
                    option=name,
                )
        if self.column is None and self.train is not None:
            raise InputError(
                f"found {self.train!r}, which names a value of a column; give `column` too, or "
                "remove train",
                option="train",
            )
        if self.stratify is not None and self.stratify == self.column:
            raise InputError(
                f"found {self.column!r}, which is column too; remove it", option="stratify"
            )
        return self

    @model_validator(mode="after")
    def _without_effect(self) -> "SplitConfig":
        for way, others in _EXCLUDED.items():
            for name in others if getattr(self, way) is not None else ():
                if getattr(self, name) is not None:
                    raise InputError(
                        f"found {getattr(self, name)!r} beside {way}; expected one of the two; "
                        "remove the other",
                        option=name,
                    )
        if self.time is not None and self.seed:
            raise InputError(
                f"found {self.seed}, but nothing is drawn where rows are split by time; remove it",
                option="seed",
            )
        if self.folds is not None and self.test is not None:
            raise InputError(
                f"found {self.test!r} beside folds, each of which is the test split of a run; "
                "remove it",
                option="test",
            )
        if self.fold is not None and self.fold > (self.folds or 0):
            expected = f"one of the {self.folds} folds" if self.folds else "folds too"
            raise InputError(f"found {self.fold}; expected {expected}", option="fold")
        return self
