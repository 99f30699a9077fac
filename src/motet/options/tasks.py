"""Options that every kind of task has, and names that no task may have."""

from typing import Any

from pydantic import ConfigDict
from typing_extensions import TypedDict

from motet.options.types import (
    Annotated,
    Callable,
    Chosen,
    Mapping,
    Named,
    PositiveFloat,
    PositiveInt,
    Sequence,
    Weight,
)
from motet.registry import KINDS


class TaskOptions(TypedDict, total=False):
    """Options that every kind of task has.

    Args:
        column: Column that holds the labels; the task's name if left out.
        weight: How much the task counts; what that means depends on the balancer. A mapping such as
            ``{from: 1.0, to: 0.2, epochs: [1, 10]}`` changes it evenly from the first of the epochs
            to the last.
        main: Whether the task is one of those that the monitored score averages. If no task is
            marked, all are.
        enabled: Whether the task is trained and predicted from the start.
        learning_rate: Learning rate of the task's own parameters; the optimizer's if left out.
        evaluate_every: The task is looked at in every such evaluation during training, counted from
            the first; in between, its last score counts for the monitored value.
        metrics: Names of the metrics to report; the first is the one that scores. Those that suit
            the type of task if none is named.
        head: Head that turns the representation into the raw output.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    column: str | None
    weight: Weight
    main: bool
    enabled: bool
    learning_rate: PositiveFloat | None
    evaluate_every: PositiveInt
    metrics: Sequence[Annotated[str, Named("metric", tuple(KINDS["metric"]))] | Callable[..., Any]]
    head: Annotated[Mapping[str, Any], Chosen("head", default="mlp")] | Callable[..., Any]


RESERVED_TASK_NAMES = ("score", "loss", "mean", "worst", "encoder", "pretrained")
"""Names with a meaning of their own: in reports, as monitored values, as parts to freeze."""

TASK_DEFAULTS: dict[str, Any] = {
    "column": None,
    "weight": 1.0,
    "main": False,
    "enabled": True,
    "learning_rate": None,
    "evaluate_every": 1,
    "metrics": (),
    "head": {"type": "mlp"},
}
