"""Estimators for scikit-learn: one model for several targets, in pipelines and searches."""

from motet.extras import not_installed

try:
    from motet.estimator.estimators import (
        MultiTaskClassifier,
        MultiTaskEstimator,
        MultiTaskRegressor,
    )
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] != "sklearn":
        raise
    raise ModuleNotFoundError(
        not_installed("sklearn", needed="the estimators need"), name="sklearn"
    ) from None

__all__ = ["MultiTaskClassifier", "MultiTaskEstimator", "MultiTaskRegressor"]
