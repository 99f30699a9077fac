"""The multi-task model: encoders, a sharing scheme and a head per task."""

from typing import TYPE_CHECKING, Any

from motet.elsewhere import missing
from motet.model.losses import count_of, mean_losses
from motet.model.multi_task_model import MultiTaskModel

__all__ = ["MultiTaskModel", "count_of", "mean_losses"]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
