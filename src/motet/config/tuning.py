"""The ``tuning`` section: which values `motet tune` searches."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from motet.config.members import Section
from motet.options import PositiveInt, StrictBool


class Range(Section):
    """Numbers between two bounds, whole ones if both bounds are."""

    low: Annotated[int | float, Field(allow_inf_nan=False)]
    """The smallest value."""
    high: Annotated[int | float, Field(allow_inf_nan=False)]
    """The largest value."""
    log: StrictBool = False
    """Whether factors count rather than differences, as for learning rates."""
    step: Annotated[int | float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Distance between two values; with it ``high`` is reached if it is a multiple from ``low``."""

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _usable(self) -> "Range":
        if self.high <= self.low:
            raise ValueError(f"found low: {self.low} and high: {self.high}; expected low < high")
        if self.log and self.low <= 0:
            raise ValueError(f"found log: true and low: {self.low}; expected low > 0")
        if self.log and self.step is not None:
            raise ValueError("found log: true and step; remove one of them")
        if self.step is not None and self.whole and not isinstance(self.step, int):
            raise ValueError(f"found whole numbers and step: {self.step}; expected a whole one")
        return self

    @property
    def bounds(self) -> tuple[int | float, int | float]:
        """The smallest and the largest value."""
        if self.step is None:
            return self.low, self.high
        return self.low, self.low + math.floor((self.high - self.low) / self.step) * self.step


Values = Annotated[
    Annotated[Range, Tag("bounds")]
    | Annotated[Annotated[tuple[Any, ...], Field(min_length=2)], Tag("list")],
    Discriminator(lambda value: "bounds" if isinstance(value, (Mapping, Range)) else "list"),
]
"""What is tried for a key."""


class TuningConfig(Section):
    """What `motet tune` searches; `motet train` does not read it."""

    ranges: dict[str, Values] = Field(min_length=1)
    """By key, such as ``training.optimizer.learning_rate``, the values to try: a list, or
    ``{low: 1.0e-4, high: 1.0e-2, log: true}``."""
    trials: PositiveInt = 27
    """How many combinations of values are tried."""
    seed: int = 0
    """Seed of the search; that of the runs is ``training.seed``."""
