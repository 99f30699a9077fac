"""Experiment trackers as observers of training; each needs its package, an extra.

``Trainer(observers=[TensorBoard("logs")])``; in a config, ``training.loggers: [tensorboard]``.
"""

from motet.training.loggers.base import Logger
from motet.training.loggers.mlflow import MLflow
from motet.training.loggers.tensorboard import TensorBoard
from motet.training.loggers.wandb import WeightsAndBiases

LOGGERS: dict[str, type[Logger]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}
"""Loggers by the names that configs use."""

__all__ = ["LOGGERS", "Logger", "MLflow", "TensorBoard", "WeightsAndBiases"]
