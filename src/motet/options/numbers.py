"""Numbers in a range, as options have them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)
from pydantic_core import PydanticKnownError


def _whole(value: Any) -> Any:
    return _refused(value, "int_type")


def _real(value: Any) -> Any:
    return _refused(value, "float_type")


def _refused(value: Any, kind: Literal["int_type", "float_type"]) -> Any:
    """Refuse what pydantic would turn into a number; NumPy's numbers, and 3 for 3.0, go through."""
    of_numpy = getattr(getattr(value, "dtype", None), "kind", None)
    if isinstance(value, (bool, str, bytes)) or of_numpy == "b":
        raise PydanticKnownError(kind)
    return value


def ordered(given: tuple[float, float]) -> tuple[float, float]:
    """Return two numbers as they are.

    Raises:
        ValueError: If the first is larger.
    """
    if given[0] > given[1]:
        raise ValueError(f"found {list(given)}, expected the smaller number first")
    return given


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number of either sign."""
PositiveInt = Annotated[int, Field(gt=0), BeforeValidator(_whole)]
TwoOrMore = Annotated[int, Field(ge=2), BeforeValidator(_whole)]
NonNegativeInt = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Real = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_real)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_real)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_real)]
Fraction = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_real)]
"""A share of something: 0 <= x < 1."""
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_real)]
"""A share of something, all of it included: 0 <= x <= 1."""
PositiveShare = Annotated[float, Field(gt=0, le=1), BeforeValidator(_real)]
"""A share above 0: 0 < x <= 1."""
InnerShare = Annotated[float, Field(gt=0, lt=1), BeforeValidator(_real)]
"""A share that is neither nothing nor all: 0 < x < 1."""
Lengths = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(ordered)]
"""The shortest and the longest of something."""
Widths = Annotated[Sequence[PositiveInt], Field(min_length=1)]
"""Widths of one or more things."""
Degrees = Annotated[float, Field(gt=0, le=180), BeforeValidator(_real)]
"""An angle, either way: 0 < x <= 180."""
