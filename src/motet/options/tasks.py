"""Options that every kind of task has, and names that no task may have."""

from typing import Any, Literal

from typing_extensions import TypedDict

from motet.options.types import (
    Annotated,
    Callable,
    Chosen,
    Default,
    Enabled,
    Frequency,
    Mapping,
    Named,
    PositiveFloat,
    PositiveInt,
    Reads,
    RowCondition,
    Sequence,
    Weight,
    defaults_of,
)


class TaskOptions(TypedDict, total=False):
    """Options of every task."""

    column: Annotated[str | None, Default(None)]
    """Column that holds the labels; the task's name if left out."""
    source: Annotated[str | Sequence[str] | None, Default(None)]
    """Where data have several sources: the name of the one that has the labels, or a list of names;
    all other sources have none."""
    row_weight: Annotated[str | None, Default(None)]
    """Column with how much each row counts in the loss: a number from 0, where 0 is as a missing
    label. Only in a config; in Python weights come with the data."""
    weighted_metrics: Annotated[bool, Default(False)]
    """Whether rows count by their weights in metrics, too, and in the constant predictions that a
    score compares with."""
    rows: Annotated[RowCondition | None, Default(None)]
    """Condition on columns, such as ``click == 1``: the labels of rows for which it does not hold
    are missing, so the task is trained and evaluated on the others. Only in a config; in Python set
    those labels to missing."""
    batch_size: Annotated[PositiveInt | None, Default(None)]
    """Rows per step of the source that has the labels, if data have several sources; training's
    ``batch_size`` if left out."""
    weight: Annotated[Weight, Default(1.0)]
    """How much the task counts; what that means depends on the balancer. A mapping such as
    ``{from: 1.0, to: 0.2, epochs: [1, 10]}`` changes it evenly from the first of the epochs to the
    last."""
    main: Annotated[bool, Default(False)]
    """Whether the task is one of those that the monitored score averages. If no task is marked, all
    are."""
    priority: Annotated[Literal["low", "normal", "high", "critical"], Default("normal")]
    """Priority for schedulers and balancers that read it: with ``weighted``, how often the task is
    drawn; with ``pcd``, which tasks it must not harm. Not a weight of its loss."""
    enabled: Annotated[Enabled, Default(True)]
    """Whether the task is trained and predicted; ``{from: 3}`` trains it from epoch 3 on."""
    learning_rate: Annotated[PositiveFloat | None, Default(None)]
    """Learning rate of the task's own parameters; the optimizer's if left out."""
    evaluate_every: Annotated[PositiveInt, Default(1)]
    """The task is evaluated at every n-th evaluation during training, from the first one on; in
    between, its last score is used for the monitored value."""
    metrics: Annotated[
        Sequence[Annotated[str, Named("metric")] | Callable[..., Any]],
        Default(()),
    ]
    """Names of the metrics to report; the first is the one that scores. Those that suit the type of
    task if none is named."""
    head: Annotated[
        Annotated[Mapping[str, Any], Chosen("head", default="mlp")] | Callable[..., Any],
        Default({"type": "mlp"}),
    ]
    """Head that turns the representation into the raw output."""
    reads: Annotated[Reads, Default(())]
    """Other tasks whose raw outputs the head gets as further features: a list of names, or
    ``{task: {what: features, detach: false}}`` to get the features that its head reads, or to train
    the other task by the loss of this one, too."""


TASK_DEFAULTS = defaults_of(TaskOptions)


class AuxiliaryOptions(TypedDict, total=False):
    """Options of every auxiliary task."""

    source: Annotated[str | Sequence[str] | None, Default(None)]
    """Where data have several sources: the name of the one whose rows it is trained on, or a list
    of names; all of them if left out."""
    weight: Annotated[Weight, Default(1.0)]
    """Weight of its loss, or how it changes, as for other tasks; what a balancer makes of it if the
    task is ``balanced``."""
    enabled: Annotated[Enabled, Default(True)]
    """Whether the task is trained; ``{from: 3}`` trains it from epoch 3 on."""
    learning_rate: Annotated[PositiveFloat | None, Default(None)]
    """Learning rate of the task's own parameters; the optimizer's if left out."""
    head: Annotated[
        Annotated[Mapping[str, Any], Chosen("head", default="mlp")] | Callable[..., Any],
        Default({"type": "mlp"}),
    ]
    """Head that turns the representation into the raw output."""
    frequency: Annotated[Frequency, Default("always")]
    """When it trains: always; ``{every: n}``, at every n-th step that includes a main task;
    ``{probability: p}``, drawn for each such step; ``{epochs: [first, last]}``, at every step of
    these epochs. A step includes a main task if one is scheduled and has a label in the batch."""
    balanced: Annotated[bool, Default(False)]
    """Whether the balancer weights its loss or gradient with those of the other tasks; otherwise
    its gradient is added after balancing."""


AUXILIARY_DEFAULTS = defaults_of(AuxiliaryOptions)


class TextAuxiliaryOptions(AuxiliaryOptions, total=False):
    """Options of every auxiliary task on texts."""

    input: Annotated[str | None, Default(None)]
    """Name of the text that it is about, where a config has several."""


MONITORED = ("mean", "worst", "any", "loss")
"""What training can monitor, besides the score of a task."""
RESERVED_TASK_NAMES = ("score", *MONITORED, "encoder", "pretrained")
"""Names with a meaning of their own: in reports, as monitored values, as parts to freeze."""

TABLE_OPTIONS = ("row_weight", "rows")
"""Options of tasks that only a table has a meaning for, by whose columns they are named."""
