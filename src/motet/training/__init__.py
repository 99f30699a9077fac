"""Training: the loop, optimizers, learning-rate schedules, evaluation."""

from motet.training.evaluation import Report
from motet.training.history import History
from motet.training.monitoring import TrainingError
from motet.training.stages import make_stages
from motet.training.step import StepResult
from motet.training.trainer import Interrupted, Trainer

__all__ = [
    "History",
    "Interrupted",
    "Report",
    "StepResult",
    "Trainer",
    "TrainingError",
    "make_stages",
]
