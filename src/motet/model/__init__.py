"""The multi-task model: encoders, a sharing scheme and a head per task."""

from motet.model.losses import count_of, mean_losses, on_host
from motet.model.multi_task_model import MultiTaskModel

__all__ = ["MultiTaskModel", "count_of", "mean_losses", "on_host"]
