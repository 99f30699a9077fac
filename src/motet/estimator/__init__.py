"""Estimators for scikit-learn: one model for several targets, in pipelines and searches."""

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
        'the estimators need scikit-learn, which is not installed: pip install "motet[sklearn]"',
        name="sklearn",
    ) from None

__all__ = ["MultiTaskClassifier", "MultiTaskEstimator", "MultiTaskRegressor"]
