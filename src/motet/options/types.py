"""Types that the signatures of members are written with: numbers in a range, and markers.

A signature is evaluated with the names of this module (`motet.options.reading`), so every type that
an option may have is here, those of the standard library included.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    StrictBool,
    Tag,
)
from pydantic_core import PydanticKnownError, core_schema
from typing_extensions import TypedDict

from motet.conditions import parse
from motet.problems import InputError, shown
from motet.registry import KINDS

__all__ = [
    "Annotated",
    "Any",
    "Callable",
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
    "Literal",
    "Mapping",
    "Named",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OnlyWith",
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
    "TwoOrMore",
    "Unfreeze",
    "Weight",
    "WeightSchedule",
    "defaults_of",
    "only_with",
]


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


@dataclass(frozen=True)
class Named:
    """Marks a text that names a member of ``kind``.

    Built-in members fit if they are in ``names``, or all if it is None; members of users and of
    other packages always fit.
    """

    kind: str
    names: tuple[str, ...] | None = None

    def fitting(self) -> tuple[str, ...]:
        """List the names that can be used now."""
        registry = KINDS[self.kind]
        if self.names is None:
            return tuple(registry)
        return (*self.names, *(name for name in registry if not registry.is_built_in(name)))

    def check(self, name: str) -> str:
        """Return ``name``, or raise with the nearest one that fits."""
        base, at, _ = name.partition("@")  # ndcg@10
        if (base if at and self.kind == "metric" else name) not in self.fitting():
            why = "does not fit here" if name in KINDS[self.kind] else "is not known"
            near = KINDS[self.kind].hint(name, self.fitting())
            raise ValueError(f"the {self.kind} {name!r} {why}; {near}")
        return name

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        names: dict[str, Any] = {"type": "string", "enum": list(self.fitting())}
        if self.kind != "metric":
            return names
        return {"anyOf": [names, {"type": "string", "pattern": r"^\w+@[1-9]\d*$"}]}


@dataclass(frozen=True)
class Chosen:
    """Marks a mapping ``{type: name, option: value, ...}`` that chooses a member of ``kind``."""

    kind: str
    default: str | None = None
    lacking: str | None = None
    """Option that the members which fit here do not have."""


@dataclass(frozen=True)
class Default:
    """Gives the default of an option in a TypedDict, which has no other place for it."""

    value: Any


def defaults_of(options: Any) -> dict[str, Any]:
    """Return the defaults of the options that are the keys of a TypedDict."""
    marks = {name: option.__metadata__ for name, option in options.__annotations__.items()}
    return {
        name: next(mark.value for mark in each if isinstance(mark, Default))
        for name, each in marks.items()
    }


@dataclass(frozen=True)
class InConfig:
    """Marks an option of Python that a config has under another key, or not at all (None)."""

    key: str | None


@dataclass(frozen=True)
class Place:
    """Marks a text that is the path of a file or folder, relative to the config file."""

    names: tuple[str, ...] = ()
    """Values that are not paths."""
    saved: str | None = None
    """The placeholder for a path in a model folder, which contains no paths."""


@dataclass(frozen=True)
class OnlyWith:
    """Marks an option, None when not given, that only some values of another option read."""

    option: str
    values: tuple[Any, ...]

    def complaint(self, name: str, chosen: object) -> str:
        """Return the message for an option ``name`` that has no effect: why, and what to do."""
        fitting = " or ".join(map(str, self.values))
        return (
            f"applies only with {self.option}: {fitting}, found {self.option}: {chosen}; "
            f"remove {name} or set {self.option}: {fitting}"
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check inside a config, where options validated before are at hand."""

        def check(value: Any, info: core_schema.ValidationInfo) -> Any:
            chosen = (info.data or {}).get(self.option, self.values[0])
            if value is not None and chosen not in self.values:
                raise ValueError(self.complaint(str(info.field_name), chosen))
            return value

        return core_schema.with_info_after_validator_function(check, handler(source))


def only_with(annotation: Any) -> OnlyWith | None:
    """Return the marker that ties an option to a value of another, if its annotation has one."""
    markers = getattr(annotation, "__metadata__", ())
    return next((marker for marker in markers if isinstance(marker, OnlyWith)), None)


def _in_order(schedule: Any) -> Any:
    first, last = schedule["epochs"]
    if not first < last:
        raise ValueError(f"found [{first}, {last}], expected a first epoch and a later one")
    return schedule


Schedule = TypedDict(
    "Schedule",
    {
        "from": Annotated[PositiveFloat, Field(description="Weight up to the first epoch.")],
        "to": Annotated[PositiveFloat, Field(description="Weight from the last epoch on.")],
        "epochs": Annotated[
            tuple[PositiveInt, PositiveInt],
            Field(description="First and last epoch of the change, counted from 1."),
        ],
    },
)
Schedule.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]  # pydantic's own hook
WeightSchedule = Annotated[Schedule, AfterValidator(_in_order)]
"""``{from: weight, to: weight, epochs: [first, last]}``: a weight that changes evenly."""
Weight = Annotated[
    Annotated[PositiveFloat, Tag("one number")] | Annotated[WeightSchedule, Tag("from - to")],
    Discriminator(lambda value: "from - to" if isinstance(value, Mapping) else "one number"),
]
"""A weight, or how it changes."""

From = TypedDict(
    "From",
    {"from": Annotated[PositiveInt, Field(description="First epoch, counted from 1.")]},
)
From.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]  # pydantic's own hook
Enabled = Annotated[
    Annotated[StrictBool, Tag("yes or no")] | Annotated[From, Tag("from epoch")],
    Discriminator(lambda value: "from epoch" if isinstance(value, Mapping) else "yes or no"),
]
"""Yes or no, or ``{from: epoch}``."""


class Epochs(TypedDict):
    """A number of epochs, where a bare number counts steps."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    epochs: Annotated[PositiveInt, Field(description="How many epochs.")]


Every = Literal["epoch"] | PositiveInt | Epochs
"""How often: every epoch, every so many steps, or every so many epochs."""


class PartsAt(TypedDict):
    """Parts that are trained from an epoch on."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    epoch: Annotated[TwoOrMore, Field(description="First epoch that trains them, from 2.")]
    parts: Annotated[tuple[str, ...], Field(min_length=1, description="Names or patterns.")]


class LayerByLayer(TypedDict):
    """Layers that are trained one after the other, the last ones first."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    every: Annotated[PositiveInt, Field(description="Epochs from one unfreezing to the next.")]
    layers: NotRequired[
        Annotated[PositiveInt, Field(description="Layers each time; 1 if left out.")]
    ]


Unfreeze = Annotated[
    Annotated[LayerByLayer, Tag("every")] | Annotated[tuple[PartsAt, ...], Tag("epochs")],
    Discriminator(lambda value: "every" if isinstance(value, Mapping) else "epochs"),
]
"""``{every: 2, layers: 1}``, or a list of ``{epoch: 3, parts: [encoder]}``."""


class ReadOptions(TypedDict):
    """What a task reads of another."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    what: NotRequired[
        Annotated[
            Literal["output", "features"],
            Field(description="Its raw output, or the features that its head reads; output."),
        ]
    ]
    detach: NotRequired[
        Annotated[
            StrictBool,
            Field(description="Whether the gradient of the reading task ends there; true."),
        ]
    ]


Reads = Annotated[
    Annotated[Mapping[str, ReadOptions], Tag("by task")] | Annotated[tuple[str, ...], Tag("names")],
    Discriminator(lambda value: "by task" if isinstance(value, Mapping) else "names"),
]
"""Names of tasks, or ``{task: {what: output, detach: true}}``."""


class EveryStep(TypedDict):
    """At every n-th step."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    every: Annotated[PositiveInt, Field(description="Every so many steps with a main task.")]


class WithProbability(TypedDict):
    """At a step with some probability."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    probability: Annotated[PositiveShare, Field(description="For each step with a main task.")]


def _not_reversed(frequency: Any) -> Any:
    first, last = frequency["epochs"]
    if first > last:
        raise ValueError(f"found [{first}, {last}], expected a first epoch and one not before it")
    return frequency


class InEpochs(TypedDict):
    """In some epochs."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    epochs: Annotated[
        tuple[PositiveInt, PositiveInt],
        Field(description="First and last epoch, counted from 1, both included."),
    ]


def _frequency_tag(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "not a mapping"
    if "probability" in value:
        return "with a probability"
    return "in epochs" if "epochs" in value else "at every nth step"


def _always(value: Any) -> Any:
    if value != "always":
        raise ValueError(
            f"found {shown(value)}, expected always, {{every: n}}, {{probability: p}} or "
            "{epochs: [first, last]}"
        )
    return value


Frequency = Annotated[
    Annotated[Literal["always"], BeforeValidator(_always), Tag("not a mapping")]
    | Annotated[EveryStep, Tag("at every nth step")]
    | Annotated[WithProbability, Tag("with a probability")]
    | Annotated[InEpochs, AfterValidator(_not_reversed), Tag("in epochs")],
    Discriminator(_frequency_tag),
]
"""``always``, ``{every: 10}``, ``{probability: 0.1}`` or ``{epochs: [1, 5]}``."""
