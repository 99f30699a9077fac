"""Columns beside those of predictions: how far members are apart, intervals and sets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from motet.data.preprocessing import Preprocessing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run.calibrating import Calibration, with_intervals
from motet.tasks import Prediction, Task
from motet.training.kept import Weights


class More(NamedTuple):
    """What is added to predictions."""

    spread: bool = False
    level: float | None = None
    """Of intervals and sets."""
    intervals: Collection[str] = ()
    """Tasks that get some."""
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ()


NOTHING = More()


def asked_for(
    tasks: Sequence[Task],
    weights: Weights,
    spread: bool,
    level: float | None,
    calibration: Calibration | None,
    *,
    members: bool,
    named: bool,
) -> More:
    """Check what is to be added to predictions.

    Args:
        tasks: The tasks to predict.
        weights: The weights that they are predicted with.
        spread: Whether to add how far members are apart.
        level: The level of intervals and sets, if some are to be added.
        calibration: That of the run.
        members: Whether several members predict.
        named: Whether the user named the tasks, so that each must have intervals.

    Returns:
        What to add, with notes on it.

    Raises:
        InputError: If there is no spread, or no interval at this level.
    """
    if spread and not members:
        raise InputError(
            "spread: found true, but a single model predicts; expected an encoder with "
            "members, encoder: {type: ensemble}, or several runs together"
        )
    if level is None:
        return More(spread)
    if weights != "best":
        raise InputError(
            f"found {level} and weights: {weights}; intervals are of the best weights",
            option="intervals",
        )
    able, notes = with_intervals(calibration, tasks, level, named=named)
    return More(spread, level, able, calibration, notes)


def more_columns(
    more: More,
    predictions: Mapping[str, Prediction],
    model: MultiTaskModel,
    preprocessing: Preprocessing,
    columns: Mapping[str, Any],
) -> dict[str, Any]:
    """Return columns to add.

    Args:
        more: What to add.
        predictions: Predictions by task.
        model: The model that predicts.
        preprocessing: That of the run.
        columns: Columns of the predictions.

    Raises:
        InputError: If an interval has the name of one of these columns.
    """
    found: dict[str, Any] = {}
    for name, each in predictions.items():
        if more.spread and each.spread is not None:
            found |= preprocessing.spreads(name, each.spread.numpy(), columns)
        if more.level is not None and name in more.intervals:
            assert more.calibration is not None
            target = preprocessing.target(name)
            own = more.calibration.intervals(more.level, model.tasks[name], each, target)
            for column in own:
                if column in columns:
                    raise InputError(f"intervals: found another column {column!r}; rename its task")
            found |= own
    return found
