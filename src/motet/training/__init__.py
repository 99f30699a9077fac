"""Training: the loop, optimizers, learning-rate schedules, evaluation."""

from typing import TYPE_CHECKING, Any

from motet.elsewhere import missing
from motet.training.errors import Interrupted, OutOfMemory, TrainingError
from motet.training.evaluation import Report
from motet.training.history import History
from motet.training.observers import Observer
from motet.training.options import TrainingOptions
from motet.training.records import EpochRecord, EvaluationRecord, StepRecord, TestRecord
from motet.training.stages import make_stages
from motet.training.steps import StepResult
from motet.training.trainer import Trainer

__all__ = [
    "EpochRecord",
    "EvaluationRecord",
    "History",
    "Interrupted",
    "Observer",
    "OutOfMemory",
    "Report",
    "StepRecord",
    "StepResult",
    "TestRecord",
    "Trainer",
    "TrainingError",
    "TrainingOptions",
    "make_stages",
]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
