"""Evaluation and prediction over a whole data set."""

from collections.abc import Mapping
from typing import Any

import torch

from motet.data.batches import ArrayData
from motet.model import MultiTaskModel
from motet.tasks import Prediction, TaskMetrics


class Report(dict[str, Any]):
    """``{task: {metric: value, "loss": ..., "count": ...}, "score": ...}`` and what it rests on."""

    scores: dict[str, float]
    """Normalised score of each task: 0 is a predictor that ignores the inputs, 1 is perfect."""
    trivial: dict[str, dict[str, float]]
    """Metrics of that predictor, on the same rows."""
    worst: float
    """Lowest score of the main tasks; NaN if there is none."""
    notes: dict[str, str]
    """Why a metric is NaN, by ``task.metric``."""
