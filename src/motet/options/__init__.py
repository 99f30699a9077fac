"""What members are configured with: their keyword-only arguments, written once.

A member's typed keyword-only arguments are its config schema. `motet.options.types` has what they
are annotated with, `motet.options.reading` reads them without importing the member, and
`motet.options.checking` validates direct calls from Python against them.
"""

from typing_extensions import Unpack

from motet.options.checking import (
    checked,
    create,
)
from motet.options.reading import (
    Option,
    common_options,
    label_kind_of,
    read_options,
    read_typed_dict,
    summary,
)
from motet.options.tasks import (
    AUXILIARY_DEFAULTS,
    RESERVED_TASK_NAMES,
    TASK_DEFAULTS,
    AuxiliaryOptions,
    TaskOptions,
)
from motet.options.types import (
    Annotated,
    Any,
    Callable,
    Chosen,
    Default,
    Epochs,
    Every,
    FolderPath,
    Fraction,
    InConfig,
    Literal,
    Mapping,
    Named,
    NonNegativeFloat,
    NonNegativeInt,
    OnlyWith,
    Place,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Real,
    Sequence,
    Share,
    StrictBool,
    TwoOrMore,
    Unfreeze,
    WeightSchedule,
    defaults_of,
)

__all__ = [
    "AUXILIARY_DEFAULTS",
    "RESERVED_TASK_NAMES",
    "TASK_DEFAULTS",
    "Annotated",
    "Any",
    "AuxiliaryOptions",
    "Callable",
    "Chosen",
    "Default",
    "Epochs",
    "Every",
    "FolderPath",
    "Fraction",
    "InConfig",
    "Literal",
    "Mapping",
    "Named",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OnlyWith",
    "Option",
    "Place",
    "PositiveFloat",
    "PositiveInt",
    "PositiveShare",
    "Real",
    "Sequence",
    "Share",
    "StrictBool",
    "TaskOptions",
    "TwoOrMore",
    "Unfreeze",
    "Unpack",
    "WeightSchedule",
    "checked",
    "common_options",
    "create",
    "defaults_of",
    "label_kind_of",
    "read_options",
    "read_typed_dict",
    "summary",
]
