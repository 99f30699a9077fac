"""Options that may be mappings: weights that change, epochs, unfreezing, adapters, frequencies."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    Tag,
)
from typing_extensions import TypedDict

from motet.figures import counted
from motet.options.numbers import Fraction, PositiveFloat, PositiveInt, PositiveShare, TwoOrMore
from motet.other_names import KEYS
from motet.problems import nearest, shown


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


class Wait(TypedDict):
    """A share of all epochs, or a number of steps, where a bare number counts evaluations."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    share: NotRequired[Annotated[PositiveShare, Field(description="Share of all epochs.")]]
    steps: NotRequired[Annotated[PositiveInt, Field(description="How many steps.")]]


def _one_of_both(wait: Any) -> Any:
    if len(wait) != 1:
        found = "share and steps" if wait else "neither share nor steps"
        raise ValueError(f"found {found}, expected one of them, such as {{share: 0.25}}")
    return wait


Patience = Annotated[
    Annotated[PositiveInt, Tag("evaluations")]
    | Annotated[Annotated[Wait, AfterValidator(_one_of_both)], Tag("share or steps")],
    Discriminator(lambda value: "share or steps" if isinstance(value, Mapping) else "evaluations"),
]
"""How long to wait: so many evaluations, a share of all epochs, or so many steps."""


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


class Adapter(TypedDict):
    """Small matrices that are trained beside the frozen weights of a model."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    type: Annotated[
        Literal["lora"],
        Field(description="A product of two matrices beside each chosen matrix of weights."),
    ]
    rank: NotRequired[Annotated[PositiveInt, Field(description="Rank of the product; 8.")]]
    alpha: NotRequired[
        Annotated[
            PositiveFloat,
            Field(description="The product counts alpha / rank times; twice the rank."),
        ]
    ]
    dropout: NotRequired[
        Annotated[Fraction, Field(description="Dropout on what the product is applied to; 0.")]
    ]
    targets: NotRequired[
        Annotated[
            Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)],
            Field(
                description="Ends of the names of the modules that get one, or all-linear; queries "
                "and values of the attention if left out."
            ),
        ]
    ]
    layers: NotRequired[
        Annotated[
            tuple[PositiveInt, ...],
            Field(min_length=1, description="Numbers of the layers that get one, from 1; all."),
        ]
    ]
    per_task: NotRequired[
        Annotated[StrictBool, Field(description="Whether each task has its own; false.")]
    ]
    merge: NotRequired[
        Annotated[
            StrictBool,
            Field(description="Whether a run saves its model with merged weights; false."),
        ]
    ]


class Characters(TypedDict):
    """Options of a text encoder that reads letters."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    width: NotRequired[
        Annotated[PositiveInt, Field(description="Width of the state of a word's letters; 32.")]
    ]
    longest: NotRequired[
        Annotated[
            TwoOrMore,
            Field(description="Letters read of a word, of longer ones the first and last; 20."),
        ]
    ]


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


class AnalysisOptions(TypedDict):
    """What is measured of the tasks' gradients while training."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    every: NotRequired[
        Annotated[
            Literal["auto"] | PositiveInt,
            Field(
                description="Steps between two measurements; auto, at most 3 % more computation."
            ),
        ]
    ]
    layers: NotRequired[
        Annotated[StrictBool, Field(description="Whether gradients are compared by layer; true.")]
    ]
    affinity: NotRequired[
        Annotated[
            Literal["none", "first_order", "exact"],
            Field(
                description="How a step for one task changes the losses of the others is computed: "
                "not at all, from inner products, or by a forward pass after each tried step; "
                "first_order."
            ),
        ]
    ]


class RegroupingOptions(TypedDict):
    """How groups of tasks are found while training."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    by: Annotated[
        Literal["gradients", "performance", "data"],
        Field(
            description="What tasks are compared by: the cosine of their gradients, the "
            "correlation of their errors on validation rows, or CKA of their representations of "
            "these rows."
        ),
    ]
    number: Annotated[TwoOrMore, Field(description="How many groups, fewer than tasks.")]
    every: NotRequired[
        Annotated[PositiveInt, Field(description="Epochs from one refresh to the next; 1.")]
    ]


TaskGroups = Annotated[
    Annotated[RegroupingOptions, Tag("found while training")]
    | Annotated[tuple[tuple[str, ...], ...], Tag("lists of tasks")],
    Discriminator(
        lambda value: "found while training" if isinstance(value, Mapping) else "lists of tasks"
    ),
]
"""Lists of tasks, or ``{by: gradients, number: 3, every: 5}``."""


def epochs_between(groups: Mapping[str, Any]) -> int:
    """Return the epochs from one refresh of groups to the next, of `RegroupingOptions`."""
    every: int = groups.get("every", 1)
    return every


def fixed_shape(scheme: str) -> str:
    """Return why the groups of a sharing scheme cannot change while it trains, and what to do."""
    return (
        f"found groups that are found while training, and sharing {scheme!r}, whose shape would "
        "change with them; expected lists of tasks. Train once without groups, where "
        "training.analysis (on by default) measures how tasks agree; run.suggest_groups() then "
        "returns lists, and the config that has them. Or choose sharing: soft"
    )


def too_many_groups(number: int, tasks: int) -> str:
    """Return the message for as many groups as tasks, or more."""
    return (
        f"found {counted(number, 'group')} of {counted(tasks, 'task')}; expected fewer "
        "groups than tasks: of groups of one task each, no task would be tied to another"
    )


def too_rare_groups(every: int, epochs: int) -> str:
    """Return the message for groups that are found no earlier than training ends."""
    return (
        f"found {every}, expected an epoch before {epochs}, where training ends: the groups that "
        "are found would never be trained"
    )


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


_WAYS = {
    "every": "at every nth step",
    "probability": "with a probability",
    "epochs": "in epochs",
}


def _frequency_tag(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "of no one way"
    near = (nearest(str(key), _WAYS, KEYS) for key in value)
    ways = list(dict.fromkeys(_WAYS[key] for key in near if key is not None))
    return ways[0] if len(ways) == 1 else "of no one way"


def _always(value: Any) -> Any:
    if value != "always":
        keys = ", ".join(map(str, value)) if isinstance(value, Mapping) else ""
        found = f"the keys {keys}" if keys else shown(value)
        raise ValueError(
            f"found {found}, expected always, {{every: n}}, {{probability: p}} or "
            "{epochs: [first, last]}"
        )
    return value


Frequency = Annotated[
    Annotated[Literal["always"], BeforeValidator(_always), Tag("of no one way")]
    | Annotated[EveryStep, Tag("at every nth step")]
    | Annotated[WithProbability, Tag("with a probability")]
    | Annotated[InEpochs, AfterValidator(_not_reversed), Tag("in epochs")],
    Discriminator(_frequency_tag),
]
"""``always``, ``{every: 10}``, ``{probability: 0.1}`` or ``{epochs: [1, 5]}``."""
