"""Types that the signatures of members are written with.

A signature is evaluated with the names of this module (`motet.options.reading`), so every type that
an option may have is here, those of the standard library included.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    StrictBool,
)

from motet.conditions import parse
from motet.options.augmentation import AugmentationOptions
from motet.options.mappings import (
    Adapter,
    AnalysisOptions,
    Characters,
    Enabled,
    Epochs,
    Every,
    Frequency,
    Patience,
    Reads,
    TaskGroups,
    Unfreeze,
    Weight,
    WeightSchedule,
)
from motet.options.markers import (
    Chosen,
    Default,
    InConfig,
    Named,
    OnlyWith,
    Place,
    defaults_of,
    only_with,
)
from motet.options.numbers import (
    Fraction,
    InnerShare,
    Lengths,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Real,
    Share,
    TwoOrMore,
    Whole,
    Widths,
)
from motet.problems import InputError

__all__ = [
    "Adapter",
    "AnalysisOptions",
    "Annotated",
    "Any",
    "AugmentationOptions",
    "Callable",
    "Characters",
    "Chosen",
    "Default",
    "Enabled",
    "Epochs",
    "Every",
    "FolderPath",
    "Fraction",
    "Frequency",
    "InConfig",
    "InnerShare",
    "Lengths",
    "Literal",
    "Mapping",
    "Named",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OnlyWith",
    "Patience",
    "Place",
    "PositiveFloat",
    "PositiveInt",
    "PositiveShare",
    "Reads",
    "Real",
    "RowCondition",
    "Sequence",
    "Share",
    "StrictBool",
    "TaskGroups",
    "TwoOrMore",
    "Unfreeze",
    "Weight",
    "WeightSchedule",
    "Whole",
    "Widths",
    "defaults_of",
    "only_with",
]


def _readable(condition: str) -> str:
    try:
        parse(condition)
    except InputError as error:
        raise ValueError(error.message) from None
    return condition


RowCondition = Annotated[str, AfterValidator(_readable)]
"""A condition on columns; see `motet.conditions`."""
FolderPath = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, Path) else v)]
"""The path of a folder."""
